"""
Train and look
==============

A photograph of which 40 % of the values are known: what can be made of it without training, and what a network learns
in a minute on one core. You need nothing but PyTorch's habits; photographs come with scikit-image.
"""

import matplotlib.pyplot as plt
from skimage import data

photo = data.chelsea()[40:168, 100:260]
figure, axes = plt.subplots(layout="constrained")
axes.set(title="what we want back", xticks=[], yticks=[])
axes.imshow(photo)

# %%
# A measurement
# -------------
#
# :func:`~datamodules.measure_image` measures an array, or an image file by its name: each value of each channel is
# known with a probability of 40 %. What comes back is a sample: the measurement, the mask, and the target, by which
# results are judged. :func:`~lowrank_unroll.notebook.show` draws it all; for now the "reconstruction" is the
# measurement itself.

from datamodules import measure_image
from lowrank_unroll.notebook import quality, reconstruct, show

sample = measure_image(photo, ratio=0.4)
show(sample.measurement, sample)

# %%
# What needs no training
# ----------------------
#
# A network has to beat these, or it is worth nothing. The last one uses low rank: similar patches of an image, as
# rows of a matrix, have few singular values that matter.

from lowrank_unroll.networks import LinearInterpolation, NonLocalLowRankNet, NonLocalLowRankRecon, NormalizedConvolution

for method in (LinearInterpolation(), NormalizedConvolution(), NonLocalLowRankRecon()):
    psnr = quality(reconstruct(method, sample), sample)["psnr"]
    print(f"{type(method).__name__}: {psnr:.2f} dB")

# %%
# A network
# ---------
#
# Two iterations of that method, unrolled: how far to shrink is learned, and so are convolutions that mend what low rank
# leaves. They begin at zero, so before training it is the method itself, stopped after two of its eight iterations.

network = NonLocalLowRankNet(features=16, iterations=2)
before = quality(reconstruct(network, sample), sample)["psnr"]
print(f"before training: {before:.2f} dB")

# %%
# A task and its data
# -------------------
#
# :class:`~lowrank_unroll.modules.ColorCS` is a LightningModule that trains any network called as
# ``network(measurement, operator)``; :class:`~datamodules.SamplePhotos` hands it random patches of other photographs,
# with a fresh mask each time. The loss is the logarithm of the squared error, which is what PSNR measures.

import logging
import warnings

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger

from datamodules import SamplePhotos
from lowrank_unroll.modules import ColorCS, LogSquaredError

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # without its advice
warnings.filterwarnings("ignore", ".*treespec")
L.seed_everything(3407)
task = ColorCS(
    network,
    optimizer=lambda weights: torch.optim.Adam(weights, lr=2e-3),
    scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.3),
    loss=LogSquaredError(),
)
photos = SamplePhotos(ratio=0.4, patches_per_image=128, batch_size=8)
logger = CSVLogger("runs", name="train_and_look")
trainer = L.Trainer(
    max_epochs=2,
    logger=logger,
    log_every_n_steps=1,
    limit_val_batches=0,
    enable_progress_bar=False,
    enable_checkpointing=False,
    enable_model_summary=False,
)
trainer.fit(task, photos)

# %%
# The loss of single batches jumps, since patches differ: a smooth one, such as sky, is easy.

import numpy as np

losses = np.genfromtxt(f"{logger.log_dir}/metrics.csv", delimiter=",", names=True)["trainloss"]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(losses, alpha=0.4, label="each batch")
axes.plot(np.convolve(losses, np.ones(16) / 16, "valid"), label="mean of the 16 that follow")
axes.set(xlabel="step", ylabel="ln(mean squared error)")
axes.legend()

# %%
# Look
# ----

image = reconstruct(network, sample)
print(f"after training: {quality(image, sample)['psnr']:.2f} dB")
show(image, sample)

# %%
# That was a minute. A network of six iterations that was trained for longer comes in the box, by its name:

image = reconstruct("color_cs", sample)
print(f"from the box: {quality(image, sample)['psnr']:.2f} dB")
show(image, sample)

# %%
# From here: a photograph of your own is ``measure_image("photo.png")``; the same training from the command line, with
# a report at its end, is ``lowrank-unroll fit --config color_cs/non_local_low_rank_net.yaml``, and ``lowrank-unroll
# list`` shows what else there is.
