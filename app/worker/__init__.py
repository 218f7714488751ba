"""The worker: all agents in one process."""

from app.worker.process import run_worker

__all__ = ["run_worker"]
