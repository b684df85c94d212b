"""Series of images as video files."""

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lowrank_unroll.extras import import_extra
from lowrank_unroll.pictures.animation import MILLISECONDS, enlarged

QUALITY = 15  # of H.264, from 0 (lossless) to 51; 15 is visually lossless


def write_video(path: Path, frames: npt.NDArray[np.uint8]) -> None:
    """Write frames (time, height, width), uint8, as an MP4 file (H.264), which players and slides can show.

    Raises:
        ModuleNotFoundError: if imageio_ffmpeg is not installed; names the extra that installs it.
        OSError: if the file cannot be written; says why.
    """
    ffmpeg = import_extra("imageio_ffmpeg", "video", "writing videos").get_ffmpeg_exe()
    pixels = enlarged(frames)
    _, height, width = pixels.shape
    # The colours of H.264 have half the resolution, so that both sides must be even.
    even = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    _, height, width = even.shape
    source = f"-f rawvideo -pix_fmt gray -video_size {width}x{height} -framerate 1000/{MILLISECONDS} -i -"
    encoder = f"-codec:v libx264 -pix_fmt yuv420p -crf {QUALITY} -movflags +faststart -f mp4"
    command = [ffmpeg, *f"-loglevel error -y {source} {encoder}".split(), str(path.absolute())]
    finished = subprocess.run(command, input=even.tobytes(), capture_output=True, check=False)  # noqa: S603
    if finished.returncode:
        raise OSError(finished.stderr.decode(errors="replace").strip() or f"ffmpeg ended with {finished.returncode}")
