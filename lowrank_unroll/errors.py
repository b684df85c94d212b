"""What users can mend themselves: the command line tells these errors in a few lines, without a traceback."""

DIVERGED = 3  # exit code of a training that NonFiniteGradientError stops


class UsageError(ValueError):
    """An argument that is missing or cannot be used; says which, what was given, and what is expected."""


class DataError(ValueError):
    """A file whose content cannot be used; names the file, and says what was found and what is expected."""


class NonFiniteGradientError(RuntimeError):
    """A gradient is infinite or NaN."""


def first_line(error: Exception) -> str:
    """What an error says, without further lines, which advise programmers; what it is if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
