"""Series to reconstruct: files of k-space, and raw files from scanners."""

from pathlib import Path

from torch.utils.data import ConcatDataset, Dataset

from datamodules.dynamic_mri.coil_treatment import Coils
from datamodules.dynamic_mri.kspace_files import READERS, KSpaceFiles
from datamodules.dynamic_mri.raw_series import RawSeries
from datamodules.loading.source_names import source_names
from datamodules.raw_data.trial import raw_files_among
from lowrank_unroll.errors import DataError
from lowrank_unroll.sample import Sample

SUFFIXES = (".mrd", *READERS)  # .mrd is what newer raw files are called


def measured_series(path: Path, coils: Coils) -> Dataset[Sample]:
    """The series of a file or of all files in a folder: see :class:`KSpaceFiles` and :class:`RawSeries`.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no such file in the folder.
        DataError: if a file is of another kind, or a raw file cannot be read.
    """
    files = _files(path)
    raw = raw_files_among([file for file in files if file.suffix.lower() != ".npz"])
    others = [file for file in files if file not in raw]
    if strange := [file for file in others if file.suffix.lower() not in READERS]:
        raise DataError(f"{strange[0]}: holds no raw data, which are the datasets xml and data in the group 'dataset'")
    names = dict(zip(files, source_names([Path(file.name) for file in files]), strict=True))
    datasets: list[Dataset[Sample]] = [RawSeries(file, coils, names[file]) for file in raw]
    return ConcatDataset([*([KSpaceFiles(others)] if others else []), *datasets])


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path.absolute()}")
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: expected a file of {', '.join(SUFFIXES)}")
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"no {', '.join(SUFFIXES)} file in the folder {path.absolute()}")
    return files
