"""Folders of videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.loading.data_module import Split
from datamodules.videos.measured_videos import Video
from datamodules.videos.video_data_module import VideoDataModule
from datamodules.videos.video_files import read_videos
from lowrank_unroll.errors import UsageError


class VideoFolder(VideoDataModule):
    """Videos from folders, one for each split: sub-folders of frames, .npy files, and files such as .mp4.

    Only .npy files (2, time, height, width), of a background and a sparse part, have targets. The network trains on
    others with ``--model.self_supervision``, with a ``pattern`` or without.

    Args:
        train_folder: videos to train on.
        val_folder: videos to choose the best checkpoint by.
        test_folder: videos to test on, with targets.
        predict_folder: videos to part by ``predict``, or a single one.
        kwargs: see :class:`VideoDataModule`.
    """

    def __init__(
        self,
        train_folder: Path | None = None,
        val_folder: Path | None = None,
        test_folder: Path | None = None,
        predict_folder: Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folders: dict[Split, Path | None] = {
            "train": train_folder,
            "val": val_folder,
            "test": test_folder,
            "predict": predict_folder,
        }

    def videos(self, split: Split) -> Sequence[Video]:
        """Read the folder of a split.

        Raises:
            UsageError: if no folder is given for it.
        """
        folder = self.folders[split]
        if folder is None:
            raise UsageError(f"no videos for this stage: pass --data.{split}_folder FOLDER")
        return read_videos(Path(folder))
