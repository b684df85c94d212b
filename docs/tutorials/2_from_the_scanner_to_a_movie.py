"""
From the scanner to a movie
===========================

Reconstruct a beating heart from the raw file of a scanner (ISMRMRD) that measured every fifth line: read the file,
reconstruct with one command, and compare with the reference. This needs ``pip install "lowrank-unroll[mri]"`` and no
download: the raw file is written by a simulation. With a file of your own, begin at the second step.
"""

import subprocess
import sys


def lowrank_unroll(*words):
    """Run ``lowrank-unroll`` with these words, as in a terminal."""
    finished = subprocess.run([sys.executable, "-m", "lowrank_unroll", *words], check=True, stdout=subprocess.PIPE)
    print(finished.stdout.decode())


# %%
# A raw file
# ----------
#
# Four coils with correlated noise, a noise scan, readouts that are oversampled twofold, and a separate calibration of
# sixteen central lines for the coil sensitivities. ``--reference`` writes the heart itself, to compare with.

from pathlib import Path

scan, reference = "runs/scan/heart.h5", "runs/scan/reference.h5"
for path in map(Path, (scan, reference)):
    path.unlink(missing_ok=True)
Path(scan).parent.mkdir(parents=True, exist_ok=True)
lowrank_unroll(
    *("phantom", scan, "--reference", reference, "--size", "12", "80", "80", "--coils", "4"),
    *("--pattern", "Vista", "--acceleration", "5", "--calibration", "16", "--snr", "20"),
)

# %%
# The measurement
# ---------------
#
# Reading the file whitens the noise, removes the oversampling, and estimates the coil sensitivities by ESPIRiT. It
# returns a sample like any other, but without a target: nobody knows the image.

from datamodules.measured.raw_series import RawSeries
from lowrank_unroll.notebook import operator_of, reconstruct

sample = RawSeries(Path(scan))[0]
print(f"k-space {tuple(sample.measurement.shape)}: coil, time, height, width")
print(f"sampled: {sample.mask.float().mean():.1%}")

# %%

import matplotlib.pyplot as plt

zero_filled = operator_of(sample).adjoint(sample.measurement[None])[0] * sample.scale
figure, grid = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
pictures = {
    "k-space of a frame, coil 1": sample.measurement[0, 0].abs().clamp(min=1e-6).log(),
    "lines over frames": sample.mask[0, :, 0].float(),
    "sensitivity of coil 1": sample.coil_sensitivities[0, 0].abs(),
    "zero-filled": zero_filled[0].abs(),
}
for axes, (title, picture) in zip(grid, pictures.items(), strict=True):
    axes.imshow(picture, cmap="gray", aspect="auto", interpolation="nearest")
    axes.set(title=title, xticks=[], yticks=[])

# %%
# A movie, without training
# -------------------------
#
# ``predict`` reads and reconstructs a file, or a folder of files. It writes a movie, an overview, and the complex
# series in the unit of the raw data; ``--prediction.series_formats`` adds NIfTI, DICOM and ISMRMRD images.

import h5py

lowrank_unroll(
    *("predict", "--config", "dynamic_mri/locally_low_rank.yaml", "--data.predict_kspace", scan),
    *("--trainer.enable_progress_bar", "false"),
)
newest = max(Path("runs/dynamic_mri_locally_low_rank").glob("version_*"), key=lambda path: path.stat().st_mtime)
print("\n".join(sorted(str(path) for path in newest.glob("predictions/**/*.*"))))

# %%

overview = next(newest.glob("predictions/**/*.png"))
figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
axes.set_axis_off()
axes.imshow(plt.imread(overview))

# %%
# With a trained network
# ----------------------
#
# The bundled network was trained on real hearts. In Python it takes the sample from above. We compare with the
# reference by the PSNR of magnitudes, after a fit of one factor, since every scanner has a unit of its own. The network
# is one decibel above its start, on real hearts as on this simulated one.

import torch

from lowrank_unroll.metrics import psnr

with h5py.File(reference) as file:
    heart = torch.tensor(file["series"][:]).abs()
with h5py.File(next(newest.glob("predictions/**/*.h5"))) as file:
    low_rank = torch.tensor(file["series"][:]).abs()
learned = (reconstruct("dynamic_mri", sample) * sample.scale).abs()

found = {"zero-filled": zero_filled.abs(), "locally low rank": low_rank, "bundled network": learned}
for name, series in found.items():
    found[name] = series * (series * heart).sum() / series.square().sum()
    print(f"{name}: {float(psnr(found[name][None], heart[None])[0]):.2f} dB")

# %%
# The middle row over time shows the beating, which a single frame cannot show.

figure, grid = plt.subplots(2, 4, figsize=(11, 4.5), height_ratios=(3, 1), layout="constrained")
for (above, below), (title, series) in zip(grid.T, ({"reference": heart} | found).items(), strict=True):
    above.imshow(series[6], vmin=0, vmax=heart.max(), cmap="gray")
    below.imshow(series[:, 40], vmin=0, vmax=heart.max(), cmap="gray", aspect="auto")
    above.set(title=title, xticks=[], yticks=[])
    below.set(xticks=[], yticks=[])

# %%
# :func:`~lowrank_unroll.notebook.animate` makes the movie in a notebook:

from lowrank_unroll.notebook import animate

animate(found["bundled network"])
