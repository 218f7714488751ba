"""The recorder: what the history keeps, from its topics into the database, in a process of its own."""

from app.recorder.process import run_recorder

__all__ = ["run_recorder"]
