"""Errors that users can mend themselves, which the command line prints in a few lines, without a traceback."""

DIVERGED = 3  # exit code of a training that NonFiniteGradientError stops


class UsageError(ValueError):
    """An argument that is missing or cannot be used; says which, what was given, and what is expected."""


class DataError(ValueError):
    """A file whose content cannot be used; names the file, and says what was found and what is expected."""


class NonFiniteGradientError(RuntimeError):
    """A gradient is infinite or NaN."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its class if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
