"""A standard output that may be closed or full without stopping what is being done."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BROKEN_PIPE = 141  # exit code of what SIGPIPE stops, as shells have it


class Outlet(io.FileIO):
    """A file that takes everything, and drops it once it cannot be written any more."""

    lost: OSError | None = None

    def write(self, content: Any) -> int:
        """Write, or drop, all of some bytes."""
        if self.lost is None:
            try:
                return super().write(content)
            except BlockingIOError:
                raise
            except OSError as error:
                self.lost = error
        return len(content)


@contextmanager
def forgiving_standard_output() -> Iterator[None]:
    """Let the block finish whatever becomes of the standard output, and print characters it does not know as escapes.

    Raises:
        SystemExit: with code 141 after the block, if nobody reads what it has printed.
        OSError: after the block, if what it has printed cannot be written, such as when the disk is full.
    """
    usual = sys.__stdout__
    if usual is None or sys.stdout is not usual:  # closed from the start, or somebody else's
        yield
        return
    outlet = Outlet(usual.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(outlet), usual.encoding, "backslashreplace", line_buffering=usual.line_buffering
    )
    code: Any = None
    try:
        yield
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.stdout.flush()
        sys.stdout = usual
    if not code and isinstance(outlet.lost, BrokenPipeError):
        code = BROKEN_PIPE
    elif not code and outlet.lost is not None:
        raise OSError(f"standard output cannot be written: {outlet.lost.strerror}") from outlet.lost
    if code is not None:
        sys.exit(code)
