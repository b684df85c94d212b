"""A standard output that may be closed or full without stopping the command."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BROKEN_PIPE = 141  # exit code of a process that SIGPIPE ends, as shells report it


class DiscardingFile(io.FileIO):
    """A raw file that discards its output after the first error.

    Attributes:
        failure: that error; None as long as everything was written.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        """Write or discard all bytes, and return their number."""
        if self.failure is None:
            try:
                return super().write(content)
            except BlockingIOError:
                raise
            except OSError as error:
                self.failure = error
        return len(content)


@contextmanager
def tolerate_broken_output() -> Iterator[None]:
    """Finish the block even if standard output is closed or full; escape characters that its encoding lacks.

    Raises:
        SystemExit: with code 141 after the block, if nobody reads the output.
        OSError: after the block, if the output cannot be written, such as when the disk is full.
    """
    original = sys.__stdout__
    if original is None or sys.stdout is not original:  # closed from the start, or replaced by another program
        yield
        return
    file = DiscardingFile(original.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(file), original.encoding, "backslashreplace", line_buffering=original.line_buffering
    )
    code: Any = None
    try:
        yield
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.stdout.flush()
        sys.stdout = original
    if not code and isinstance(file.failure, BrokenPipeError):
        code = BROKEN_PIPE
    elif not code and file.failure is not None:
        raise OSError(f"standard output cannot be written: {file.failure.strerror}") from file.failure
    if code is not None:
        sys.exit(code)
