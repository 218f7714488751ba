"""The recorder: writes the topics of the history into the database, in a separate process."""

from app.recorder.process import run_recorder

__all__ = ["run_recorder"]
