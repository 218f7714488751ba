"""The command line as somebody types it, within this process: a start of its own costs a second each time."""

from __future__ import annotations

import contextlib
import io
import sys

from app import cli


def typed(*words: str) -> tuple[object, str, str]:
    """The exit status of a command typed, its output and its errors. Raises what would be a traceback."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["driftline", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        return ended.code, out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    return 0, out.getvalue(), err.getvalue()
