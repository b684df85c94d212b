"""A first reading of a raw file in a process of its own, since HDF5 hangs or crashes on some that are damaged."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from datamodules.raw_data.ismrmrd import ISMRMRDError, RawFile
from datamodules.raw_data.ismrmrd_lines import ITEMS

PATIENCE = 45.0  # s without a sign of life


def try_to_read(path: Path) -> None:
    """Read a raw file as a whole, and forget it.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if it cannot be read, or reading it crashes or does not go on for 45 s; names it.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_read_all, args=(path, sender), daemon=True)
    process.start()
    sender.close()
    try:
        while receiver.poll(PATIENCE):
            failure = receiver.recv()
            if failure is None:
                return
            if isinstance(failure, Exception):
                raise failure
        raise ISMRMRDError(f"{path}: reading it has not gone on for {PATIENCE:.0f} s, it seems to be damaged")
    except EOFError:
        raise ISMRMRDError(f"{path}: reading it ended the HDF5 library, it seems to be damaged") from None
    finally:
        process.kill()
        process.join()


def _read_all(path: Path, sender: Connection) -> None:
    """Send True for each part that was read, and at the end None, or the error."""
    try:
        sender.send(True)
        file = RawFile(path)
        file.noise()
        for index in file.indices(ITEMS):
            file.kspace(**index)
            sender.send(True)
        sender.send(None)
    except (ISMRMRDError, FileNotFoundError) as error:
        sender.send(error)
