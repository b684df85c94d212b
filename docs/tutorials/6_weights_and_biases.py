"""
Weights & Biases, also without a network
========================================

Track trainings, compare them and keep their weights. Everything here runs offline, as on a node of a cluster without
internet: runs stay in a folder until ``wandb sync`` uploads them. A few things need the website, as noted below.
"""

import os
import sys

os.environ["WANDB_MODE"] = "offline"  # leave this line out where you are logged in
os.environ["WANDB_SILENT"] = "true"

# %%
# A sweep by hand
# ---------------
#
# Logging takes one overlay after the experiment's config, ``logger/wandb.yaml``. We train the same network with two
# rules for the gradient of its singular value shrinkage: the exact one, and "zero", which replaces a division by zero
# in the gradient of the SVD by zero. ``group`` groups runs; ``log_model`` uploads the best weights as an artifact.
#
# All arguments are those of the command line; in a terminal it would begin with ``lowrank-unroll fit --config ...``.

import wandb

from lowrank_unroll.__main__ import main

EXPERIMENT = ["--config", "color_cs/demo.yaml", "--config", "logger/wandb.yaml"]
SMALL = [
    *("--trainer.max_epochs", "2", "--trainer.limit_train_batches", "30", "--trainer.log_every_n_steps", "5"),
    *("--trainer.limit_val_batches", "2", "--trainer.enable_progress_bar", "false"),
    *(
        "--trainer.enable_model_summary",
        "false",
        "--data.batch_size",
        "8",
        "--report.untrained",
        "[NormalizedConvolution]",
    ),
    *("--model.network.init_args.iterations", "2"),
]
LOGGER = "--trainer.logger.init_args"


def run(command, gradient):
    """Train or test by one rule."""
    rule = ["--model.network.init_args.gradient", gradient, "--trainer.logger.init_args.name", f"{command} {gradient}"]
    sys.argv[1:] = [command, *EXPERIMENT, *SMALL, *rule, f"{LOGGER}.group", "gradients", f"{LOGGER}.log_model", "true"]
    main()
    wandb.finish()  # a process ends its run when it ends; this one makes several


for gradient in ("exact", "zero"):
    run("fit", gradient)
    run("test", gradient)

# %%
# With a login, a sweep is a file: ``configs/sweeps/svd_gradient.yaml`` names the six rules, ``wandb sweep`` prints an
# ID, and ``wandb agent ID`` on any machine takes the next training. The website keeps the list of trainings, so that
# there are no sweeps offline; loop, as here, or use ``lowrank-unroll study``.
#
# The files of a run
# ------------------
#
# Each run has a folder with its log, its config, the pictures of validation samples and the table of the test.

from pathlib import Path

runs = sorted(Path("runs/wandb").glob("offline-run-*"))
for folder in runs:
    kept = sorted({path.suffix for path in folder.rglob("*") if path.is_file() and path.suffix})
    print(f"{folder.name}: {', '.join(kept)}")

# %%
# The website would show these pictures at the end of each epoch.

import matplotlib.pyplot as plt

pictures = sorted(runs[0].glob("files/media/images/**/*.png"))
figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
axes.set_axis_off()
axes.imshow(plt.imread(pictures[-1]))

# %%
# Compare
# -------
#
# The website draws charts of many runs. The numbers of each run are also in its ``metrics.csv``, and ``lowrank-unroll
# compare`` compares finished tests sample by sample. If an interval contains zero, these samples show no difference.

import numpy as np

folders = sorted(Path("runs/color_cs_demo").glob("version_*"), key=lambda path: int(path.name.partition("_")[2]))
trained, tested = folders[-4::2], folders[-3::2]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for folder, gradient in zip(trained, ("exact", "zero"), strict=True):
    logged = np.genfromtxt(folder / "metrics.csv", delimiter=",", names=True)
    measured = ~np.isnan(logged["valpsnr"])
    axes.plot(logged["step"][measured], logged["valpsnr"][measured], "o-", label=gradient)
axes.set(xlabel="step", ylabel="PSNR of validation, dB")
axes.legend(title="gradient")

# %%

sys.argv[1:] = ["compare", *map(str, tested), "--output", "runs/comparison.png"]
main()

# %%
# An artifact
# -----------
#
# An artifact is a version of a file on the website, with the run that made it; offline it stays in the run until it is
# uploaded. The same weights are in the folder of the run, and one line loads any checkpoint:

from datamodules import SamplePhotos
from lowrank_unroll.notebook import quality, reconstruct
from lowrank_unroll.weights import load_network

network = load_network(trained[0] / "checkpoints" / "best.ckpt")
photo = SamplePhotos(ratio=0.4).dataset("test")[0]
print(f"{photo.name}, from the checkpoint: {quality(reconstruct(network, photo), photo)['psnr']:.2f} dB")

# %%
# Back online, ``wandb sync runs/wandb/offline-run-*`` uploads everything, and ``wandb artifact get
# ENTITY/lowrank_unroll/model-RUN:best`` downloads the artifact, a file for ``--ckpt_path``.
