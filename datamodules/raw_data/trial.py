"""A first reading of raw files in a process of its own, since HDF5 hangs or crashes on some that are damaged."""

import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from rich.progress import Progress

from datamodules.raw_data.ismrmrd import ISMRMRDError, RawFile, is_ismrmrd
from datamodules.raw_data.ismrmrd_lines import ITEMS

PATIENCE = 45.0  # s without a sign of life
STARTING = 300.0  # s until the first, for all that has to be imported
MEMORY = 2**32  # bytes, and so many times those of the largest file, may the process take
MULTIPLE = 64
# One of multiprocessing would import the user's script again, which then would have to guard its every line.
PROGRAM = "from datamodules.raw_data.trial import read_as_told; read_as_told()"


def raw_files_among(files: Sequence[Path]) -> list[Path]:
    """Those of some files that hold raw data; each of them is read as a whole, and forgotten.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if one cannot be read, or reading it crashes or does not go on for 45 s; names it.
    """
    if not files:
        return []
    receiver, sender = Pipe(duplex=False)
    words = [sys.executable, "-P", "-c", PROGRAM, str(sender.fileno()), *map(str, files)]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(  # noqa: S603  its own words
        words, pass_fds=[sender.fileno()], env=os.environ | paths, stdin=subprocess.DEVNULL
    )
    sender.close()
    try:
        with Progress(transient=True) as progress:
            receiver.poll(STARTING)
            tried = progress.track(files, description="Trying to read files")
            return [file for file in tried if _verdict(file, receiver)]
    finally:
        process.kill()
        process.wait()
        receiver.close()


def read_as_told() -> None:
    """Read the files that the command line names, and say over its file descriptor what became of each."""
    descriptor, *files = sys.argv[1:]
    paths = list(map(Path, files))
    _limit_memory(MEMORY + MULTIPLE * max((path.stat().st_size for path in paths if path.exists()), default=0))
    _try_all(paths, Connection(int(descriptor), readable=False))


def _limit_memory(limit: int) -> None:
    """Let allocations beyond a limit fail, where the system can do that."""
    try:
        import resource  # noqa: PLC0415  absent on Windows
    except ModuleNotFoundError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _verdict(file: Path, receiver: Connection) -> bool:
    """Whether the file that is being tried holds raw data."""
    try:
        while receiver.poll(PATIENCE):
            told = receiver.recv()
            if isinstance(told, Exception):
                raise told
            if told is not None:
                return bool(told)
    except EOFError:
        raise ISMRMRDError(f"{file}: reading it ended the HDF5 library, it seems to be damaged") from None
    raise ISMRMRDError(f"{file}: reading it has not gone on for {PATIENCE:.0f} s, it seems to be damaged")


def _try_all(files: Sequence[Path], sender: Connection) -> None:
    """Send of each file whether it holds raw data, or the error of reading it, and None as a sign of life before."""
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
    file = RawFile(path)
    file.noise()
    for number in range(file.sizes["slice"]):
        file.calibration(number)
        sender.send(None)
    for index in file.indices(ITEMS):
        file.kspace(**index)
        sender.send(None)
