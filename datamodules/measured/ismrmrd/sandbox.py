"""Checks of raw files in a process of its own, since HDF5 hangs or crashes on some damaged ones."""

import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from rich.progress import Progress

from datamodules.measured.ismrmrd.raw_file import RawFile
from datamodules.measured.ismrmrd.scan_file import ISMRMRDError, is_cartesian, is_ismrmrd
from datamodules.measured.ismrmrd.trajectory_file import TrajectoryFile

TIMEOUT = 45.0  # s without progress
START_TIMEOUT = 300.0  # s until the first progress, since the process has to import what reads files
# The process may allocate so many bytes, plus a multiple of the size of the largest file.
BASE_MEMORY = 2**32
MEMORY_PER_FILE_BYTE = 64
# The package imports PyTorch and Lightning, which takes seconds; an empty one in its place finds the same modules.
LIGHT_PACKAGE = (
    "import sys, types; package = sys.modules['datamodules'] = types.ModuleType('datamodules'); "
    f"package.__path__ = [{str(Path(__file__).parents[2])!r}]; "
)
# A process of multiprocessing would import the user's script again, which would then need a __main__ guard.
PROGRAM = f"{LIGHT_PACKAGE}from datamodules.measured.ismrmrd.sandbox import run_child; run_child()"


def select_raw_files(files: Sequence[Path]) -> list[Path]:
    """Return those of some files that hold raw data, after reading them as a whole in another process.

    Raises:
        FileNotFoundError: if a file does not exist.
        ISMRMRDError: if one cannot be read, or reading it crashes or makes no progress for 45 s; names it.
    """
    if not files:
        return []
    receiver, sender = Pipe(duplex=False)
    command = [sys.executable, "-P", "-c", PROGRAM, str(sender.fileno()), *map(str, files)]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(  # noqa: S603  no input of a user
        command, pass_fds=[sender.fileno()], env=os.environ | paths, stdin=subprocess.DEVNULL
    )
    sender.close()
    try:
        with Progress(transient=True) as progress:
            receiver.poll(START_TIMEOUT)
            checked = progress.track(files, description="Checking raw files")
            return [file for file in checked if _is_raw(file, receiver)]
    finally:
        process.kill()
        process.wait()
        receiver.close()


def run_child() -> None:
    """Check the files in the arguments of the process, and send the results to the file descriptor before them."""
    descriptor, *files = sys.argv[1:]
    paths = list(map(Path, files))
    largest = max((path.stat().st_size for path in paths if path.exists()), default=0)
    _limit_memory(BASE_MEMORY + MEMORY_PER_FILE_BYTE * largest)
    _check_all(paths, Connection(int(descriptor), readable=False))


def _limit_memory(limit: int) -> None:
    """Let allocations beyond a limit fail, on systems that can do that."""
    try:
        import resource  # noqa: PLC0415  absent on Windows
    except ModuleNotFoundError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _is_raw(file: Path, receiver: Connection) -> bool:
    """Receive whether the file that is being checked holds raw data, or raise the error of reading it."""
    try:
        while receiver.poll(TIMEOUT):
            result = receiver.recv()
            if isinstance(result, Exception):
                raise result
            if result is not None:
                return bool(result)
    except EOFError:
        raise ISMRMRDError(f"{file}: reading it crashed the HDF5 library, it seems to be damaged") from None
    raise ISMRMRDError(f"{file}: reading it made no progress for {TIMEOUT:.0f} s, it seems to be damaged")


def _check_all(files: Sequence[Path], sender: Connection) -> None:
    """Send whether each file holds raw data, or the error of reading it; before that, None for progress."""
    for file in files:
        try:
            sender.send(None)
            is_raw = is_ismrmrd(file)
            if is_raw:
                _read_all(file, sender)
            sender.send(is_raw)
        except (ISMRMRDError, FileNotFoundError) as error:
            sender.send(error)
        except MemoryError:
            sender.send(ISMRMRDError(f"{file}: reading it takes far more memory than the file, it seems to be damaged"))


def _read_all(path: Path, sender: Connection) -> None:
    file = RawFile(path) if is_cartesian(path) else TrajectoryFile(path)
    file.noise()
    for _ in file.parts():
        sender.send(None)
