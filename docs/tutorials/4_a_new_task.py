"""
A new task: the single-pixel camera
===================================

A single-pixel camera has one detector, and a mirror that shows it one pattern after another: each measurement is the
sum of the image times a pattern of +1 and -1. A forward model, a module that returns it, data that it measures and a
config make this a task of the command line, with its networks, metrics and reports, in some eighty lines.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg
import torch

# %%
# The forward model
# -----------------
#
# The patterns are products of Walsh functions along the height and along the width: rows of a Hadamard matrix, ordered
# by their number of sign changes. Slow ones matter most. We put them in the centre, like the low frequencies of
# k-space, so that every sampling pattern of :mod:`lowrank_unroll.sampling` fits.

from lowrank_unroll.operators import LinearOperator, Mask


def walsh(side, device):
    """Walsh functions as rows of an orthogonal matrix, the slowest in the middle; for sides that are powers of two."""
    functions = scipy.linalg.hadamard(side, dtype=np.float32) / side**0.5
    changes = (np.diff(np.sign(functions)) != 0).sum(1)
    return torch.tensor(functions[np.argsort(changes)][np.r_[side - 1 : 0 : -2, 0:side:2]], device=device)


class WalshTransform(LinearOperator):
    """All sums of an image (..., height, width) times a pattern."""

    partial_isometry = unitary = True

    def forward(self, image):
        """Rows are patterns along the height, columns along the width."""
        height, width = image.shape[-2:]
        return walsh(height, image.device) @ image @ walsh(width, image.device).T

    def adjoint(self, measurement):
        """The image of some sums."""
        height, width = measurement.shape[-2:]
        return walsh(height, measurement.device).T @ measurement @ walsh(width, measurement.device)


# %%
# Test the adjoint and the claim to be unitary by their laws:

transform = WalshTransform()
x = torch.randn(3, 16, 32)
transform.check_adjoint(x)  # raises an error if <A x, y> and <x, A^H y> differ
print("largest |A^H A x - x| =", float((transform.gram(x) - x).abs().max()))

figure, grid = plt.subplots(2, 6, figsize=(9, 3.2), layout="constrained")
for number, axes in enumerate(grid.flat):
    one = torch.zeros(16, 16)
    one[8 - number // 4, 8 + number % 4] = 1
    axes.imshow(transform.H(one), cmap="gray", vmin=-1 / 16, vmax=1 / 16)
    axes.set_axis_off()
figure.suptitle("patterns that the mirror shows")

# %%
# The task
# --------
#
# The camera measures the sums that a mask selects: a composition of two operators. A
# :class:`~lowrank_unroll.modules.ReconstructionModule` needs nothing else; the default loss is the squared error, the
# default metric PSNR.

from lowrank_unroll.metrics import SampleMean, psnr, ssim
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.sample import COLOUR_AXES


class SinglePixelCamera(ReconstructionModule):
    """Reconstruct photographs from some of their Walsh coefficients."""

    image_axes = COLOUR_AXES

    def operator(self, batch):
        """Return the forward model of the detector."""
        return Mask(batch.mask) @ WalshTransform()

    def metrics(self):
        """The columns of the report."""
        return {"psnr": SampleMean(psnr), "ssim": SampleMean(ssim)}


# %%
# The data
# --------
#
# The photographs exist already; only their measurement is new. The camera shows the same patterns in training and test:
# an eighth of all, mostly slow ones. Sides have to be powers of two.

from datamodules import SamplePhotos
from lowrank_unroll.sampling import VariableDensity


class SinglePixelPhotos(SamplePhotos):
    """The sample photographs, measured by the camera."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        """Measure a batch; of whole photographs the middle, 128 x 128."""
        height, width = batch.target.shape[-2:]
        side = min(128, height)
        top, left = (height - side) // 2, (width - side) // 2
        target = batch.target[..., top : top + side, left : left + side]
        mask = VariableDensity(self.ratio)((side, side), torch.Generator().manual_seed(0))
        mask = mask.to(target.device).expand_as(target)
        return batch._replace(target=target, mask=mask, measurement=Mask(mask)(WalshTransform()(target)))


# %%
# The config
# ----------
#
# It names our classes by their module: in a file ``camera.py`` of your own they would be ``camera.SinglePixelCamera``
# and ``camera.SinglePixelPhotos``. The network and the methods to compare with come from the package.

from pathlib import Path

CONFIG = """
seed_everything: 3407
trainer:
  max_epochs: 2
  enable_progress_bar: false
  enable_model_summary: false
  log_every_n_steps: 1
  logger: {class_path: CSVLogger, init_args: {save_dir: runs, name: single_pixel}}
model:
  class_path: __main__.SinglePixelCamera
  init_args:
    network: {class_path: TLRNet, init_args: {iterations: 3}}
    loss: LogSquaredError
    optimizer: {class_path: torch.optim.Adam, init_args: {lr: 0.002}}
    scheduler: {class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.3}}
data:
  class_path: __main__.SinglePixelPhotos
  init_args: {ratio: 0.125, patch_size: 32, patches_per_image: 512, batch_size: 16}
report:
  untrained:
    - class_path: TensorNuclearNormRecon
    - class_path: NonLocalLowRankRecon
      init_args: {start: ZeroFilled}
pictures:
  samples: 0
"""
Path("runs").mkdir(exist_ok=True)
Path("runs/single_pixel.yaml").write_text(CONFIG)

# %%
# Train and test
# --------------
#
# In a terminal: ``lowrank-unroll fit --config runs/single_pixel.yaml``, and the same with ``test``.

import sys

from lowrank_unroll.__main__ import main

for command in ("fit", "test"):
    sys.argv[1:] = [command, "--config", "runs/single_pixel.yaml"]
    main()

# %%
# The report
# ----------
#
# ``runs/single_pixel/version_N/test/report.html`` is a page to send to a colleague. This is its picture; the table is
# ``metrics.csv`` beside it. "Zero-filled" is the adjoint of the measured coefficients.

folder = max(Path("runs/single_pixel").glob("version_*/test"), key=lambda path: path.stat().st_mtime)
print((folder / "metrics.csv").read_text())

figure, axes = plt.subplots(figsize=(10, 6), layout="constrained")
axes.set_axis_off()
axes.imshow(plt.imread(folder / "panels.png"))
