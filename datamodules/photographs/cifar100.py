"""CIFAR-100, the training images of the paper."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from datamodules.loading.caches import needs_build
from datamodules.loading.data_module import Split
from datamodules.photographs.color_data_module import ColorDataModule
from datamodules.photographs.colours import Pixels
from datamodules.photographs.image_files import Images, read_images
from datamodules.photographs.sample_photos import sample_photos
from lowrank_unroll.errors import DataError, UsageError, first_line
from lowrank_unroll.files import write_whole, written_whole

LABEL_BYTES = 2
SHAPE = (3, 32, 32)


class CIFAR100(ColorDataModule):
    """Train on all 60,000 images of CIFAR-100 (Krizhevsky 2009), test on a folder of images.

    The official binary archive is downloaded once and checked; nothing in it is unpickled. Validation, which chooses
    the best checkpoint, uses patches of the bundled sample photographs: no image of training or test.

    Args:
        root: folder of the archive (161 MB) and its images (184 MB).
        test_folder: images to test on; the paper uses 14 colour images of the USC-SIPI database.
        kwargs: see :class:`ColorDataModule`.
    """

    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    checksum: ClassVar[str] = "md5:03b5dce01913d631647c71ecec9e9cb8"
    members: ClassVar[dict[str, int]] = {"cifar-100-binary/train.bin": 50_000, "cifar-100-binary/test.bin": 10_000}
    val_patches_per_image = 512

    def __init__(self, root: Path = Path("data/cifar100"), test_folder: Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(root)
        self.test_folder = test_folder

    @property
    def array(self) -> Path:
        """File of all images, (60000, 32, 32, 3) uint8."""
        return self.root / "cifar100.npy"

    @property
    def checksum_file(self) -> Path:
        """File of the SHA-256 of that file, as `sha256sum` writes it; it does not exist if the user made the array."""
        return self.array.with_name(f"{self.array.name}.sha256")

    def prepare_data(self) -> None:
        """Download the archive and unpack its images, unless that is done and undamaged.

        Raises:
            OSError: if the archive cannot be downloaded, or a file not be written; nothing of it is kept.
            DataError: if it is damaged; nothing of it is kept.
        """
        if self.trainer is not None and not self.trainer.training:
            return  # only training uses CIFAR-100
        if not needs_build(self.array, self._damage):
            return
        archive = self._download()
        images = np.concatenate([self._read(archive, member, count) for member, count in self.members.items()])
        content = io.BytesIO()
        np.save(content, images)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        write_whole(
            self.checksum_file, f"{digest}  {self.array.name}\n".encode()
        )  # first, so that no array lacks its checksum
        with written_whole(self.array) as temporary:
            temporary.write_bytes(content.getbuffer())

    def images(self, split: Split) -> Images:
        """Return all of CIFAR-100 to train on, sample photographs to validate on, the given folder to test on.

        Raises:
            UsageError: in "test", if no folder is given.
            DataError: if the file of the images is damaged, or an image of the folder cannot be read; names it.
        """
        if split == "train":
            images: Any = self._images()  # a memory map is a sequence of images, too
            return Images(images, [f"cifar100[{index}]" for index in range(len(images))])
        if split == "val":
            return sample_photos("val")
        if self.test_folder is None:
            raise UsageError("CIFAR100 tests on a folder of images: pass --data.test_folder FOLDER")
        return read_images(Path(self.test_folder))

    def _damage(self, array: Path) -> str | None:
        if not self.checksum_file.exists():
            return None
        with array.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        same = self.checksum_file.read_bytes().startswith(digest.encode())
        return None if same else f"its SHA-256 is not that in {self.checksum_file.name}"

    def _images(self) -> Pixels:
        try:
            images: Pixels = np.lib.format.open_memmap(self.array, mode="r")
        except ValueError as error:
            raise DataError(
                f"{self.array} is damaged: {first_line(error)}. It is made anew if you delete it"
            ) from error
        if images.shape[1:] != (*SHAPE[1:], SHAPE[0]) or images.dtype != np.uint8:
            raise DataError(f"{self.array}: {images.shape} {images.dtype}, expected (number, 32, 32, 3) uint8")
        return images

    def _download(self) -> Path:
        import pooch  # noqa: PLC0415  only where there is something to download
        import requests  # noqa: PLC0415

        file = self.url.rsplit("/", 1)[1]
        by_hand = f"You can also download it by hand, to {(self.root / file).absolute()}"
        try:
            path = pooch.retrieve(
                self.url, self.checksum, file, self.root, downloader=pooch.HTTPDownloader(progressbar=True)
            )
        except requests.RequestException as error:
            raise OSError(f"{self.url} could not be downloaded: {first_line(error)}. {by_hand}") from error
        except ValueError as error:  # pooch's error for a wrong checksum
            raise DataError(f"{self.url} is damaged or has changed: {first_line(error)} {by_hand}") from error
        return Path(path)

    def _read(self, archive: Path, member: str, count: int) -> Pixels:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(member)
            assert file is not None  # noqa: S101  None only for members that are no files
            records = np.frombuffer(file.read(), np.uint8).reshape(count, LABEL_BYTES + np.prod(SHAPE))
        return records[:, LABEL_BYTES:].reshape(count, *SHAPE).transpose(0, 2, 3, 1)
