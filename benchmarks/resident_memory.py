"""Memory of this process, as Linux reports it."""

from pathlib import Path


def resident_megabytes(key: str) -> float:
    """Return megabytes of this process: those of now for the key VmRSS, their peak for VmHWM."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) / 1024
