"""
Train and look
==============

Reconstruct a photograph from 40 % of its values: first without training, then with a network that trains for a minute
on one core. You only need to know PyTorch; the photographs come with scikit-image.
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
# known with a probability of 40 %. It returns a sample: measurement, mask, and target, with which results are compared.
# :func:`~lowrank_unroll.notebook.show` draws it; here the "reconstruction" is the measurement itself.

from datamodules import measure_image
from lowrank_unroll.notebook import quality, reconstruct, show

sample = measure_image(photo, ratio=0.4)
show(sample.measurement, sample)

# %%
# Methods without training
# ------------------------
#
# A network that loses to these is worth nothing. The last one uses low rank: a matrix whose rows are similar patches of
# an image has few singular values that matter.

from lowrank_unroll.networks import LinearInterpolation, NonLocalLowRankNet, NonLocalLowRankRecon, NormalizedConvolution

for method in (LinearInterpolation(), NormalizedConvolution(), NonLocalLowRankRecon()):
    psnr = quality(reconstruct(method, sample), sample)["psnr"]
    print(f"{type(method).__name__}: {psnr:.2f} dB")

# %%
# A network
# ---------
#
# We unroll two iterations of that method. The thresholds are learned, and so are convolutions that correct the result
# of each shrinkage. They begin at zero: before training the network is the method itself, stopped after two of its
# eight iterations.

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
# The loss varies from batch to batch, because patches differ: a smooth one, such as sky, is easy.

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
# That was a minute. A network that was trained for longer comes with the package, by its name:

image = reconstruct("color_cs", sample)
print(f"bundled network: {quality(image, sample)['psnr']:.2f} dB")
show(image, sample)

# %%
# Next: ``measure_image("photo.png")`` measures a photograph of your own. ``lowrank-unroll fit --config
# color_cs/non_local_low_rank_net.yaml`` is the same training from the command line, and ``test`` writes its report.
# ``lowrank-unroll list`` shows what else there is.
