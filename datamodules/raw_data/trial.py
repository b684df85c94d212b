"""A first reading of raw files in a process of its own, since HDF5 hangs or crashes on some that are damaged."""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from rich.progress import track

from datamodules.raw_data.ismrmrd import ISMRMRDError, RawFile, is_ismrmrd
from datamodules.raw_data.ismrmrd_lines import ITEMS

PATIENCE = 45.0  # s without a sign of life


def raw_files_among(files: Sequence[Path]) -> list[Path]:
    """Those of some files that hold raw data; each of them is read as a whole, and forgotten.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if one cannot be read, or reading it crashes or does not go on for 45 s; names it.
    """
    if not files:
        return []
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_try_all, args=(files, sender), daemon=True)
    process.start()
    sender.close()
    try:
        return [file for file in track(files, "Trying to read files", transient=True) if _verdict(file, receiver)]
    finally:
        process.kill()
        process.join()


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


def _read_all(path: Path, sender: Connection) -> None:
    file = RawFile(path)
    file.noise()
    for number in range(file.sizes["slice"]):
        file.calibration(number)
        sender.send(None)
    for index in file.indices(ITEMS):
        file.kspace(**index)
        sender.send(None)
