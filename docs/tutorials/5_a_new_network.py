"""
A new network, and what low rank brings to it
=============================================

An unrolled network is the module of one iteration and the state that it starts from. We write one that the package does
not have, whose iterations share their weights, and ask a question that applies to every such network: does it need its
low-rank step?
"""

import logging
import warnings
from typing import NamedTuple

import lightning as L
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

# %%
# One iteration
# -------------
#
# Shrink the singular values of every block of 8 x 8 pixels over time, correct the result by convolutions, and take a
# gradient step towards the measurement. :class:`~lowrank_unroll.prox.LowRankProx` learns the threshold, with the exact
# gradient.

from lowrank_unroll.networks import UnrolledNetwork, ViewSharing
from lowrank_unroll.operators import gradient_step
from lowrank_unroll.prox import Blocks, LowRankProx
from lowrank_unroll.sample import SERIES_AXES


class State(NamedTuple):
    """The state that one iteration hands to the next: the series (batch, time, height, width), complex."""

    image: Tensor


class Iteration(nn.Module):
    """Shrink, correct by convolutions, and step towards the measurement."""

    def __init__(self, features):
        super().__init__()
        self.prox = LowRankProx(matricization=Blocks(8, offsets=((0, 0), (4, 4))), threshold_logit=-6.0)
        self.correction = nn.Sequential(
            nn.Conv3d(4, features, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv3d(features, features, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv3d(features, 2, 3, padding=1, bias=False),
        )
        nn.init.zeros_(self.correction[-1].weight)  # begin as the method without convolutions

    def forward(self, state, measurement, operator):
        """Advance the state by one iteration."""
        low_rank = self.prox(state.image)
        parts = [part for series in (low_rank, state.image) for part in (series.real, series.imag)]
        real, imaginary = self.correction(torch.stack(parts, dim=1)).unbind(1)
        return State(gradient_step(low_rank + torch.complex(real, imaginary), measurement, operator))


class SharedNet(UnrolledNetwork[State]):
    """The same iteration, again and again, from an image in which the frames share what they measured."""

    image_axes = SERIES_AXES
    image_is_complex = True

    def __init__(self, features=8, iterations=3):
        super().__init__([Iteration(features)], start=ViewSharing(), repetitions=iterations)

    def initial_state(self, image):
        """Begin with the first image."""
        return State(image)


network = SharedNet()
print(f"{sum(weight.numel() for weight in network.parameters())} weights, however many iterations")

# %%
# It has no biases, and its threshold is relative to the norm of the matrices, so that twice the signal gives twice the
# image and raw data need no scaling. Test this law with every new network.

from datamodules import CinePhantom, measure_series
from datamodules.dynamic_mri.phantom import beating_heart
from lowrank_unroll.notebook import animate, operator_of, quality, reconstruct, show
from lowrank_unroll.sampling import PseudoRadial

heart = beating_heart((8, 48, 48), torch.Generator().manual_seed(1))
sample = measure_series(heart, PseudoRadial(lines=6), snr=50)
with torch.no_grad():
    y, operator = sample.measurement[None], operator_of(sample)
    once, twice = network(y, operator), network(2 * y, operator)
print("largest |net(2 y) - 2 net(y)| =", float((twice - 2 * once).abs().max()))

# %%
# Two trainings
# -------------
#
# The same network, data, seed and steps, but ``shrinkage=False`` replaces every shrinkage by the identity: both have
# convolutions and data consistency, and only one has low rank.

from lowrank_unroll.modules import DynamicMRI, LogSquaredError


logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # without its advice
warnings.filterwarnings("ignore", ".*treespec")


def simulated_hearts():
    """Hearts to train on and others to test on, drawn once."""
    return CinePhantom(
        size=(8, 48, 48),
        train_series=16,
        val_series=1,
        test_series=4,
        root="runs/hearts",
        coils=1,
        pattern=PseudoRadial(lines=6),
        crops_per_cine=2,
    )


def train(shrinkage):
    """The task after training."""
    L.seed_everything(3407)
    task = DynamicMRI(
        SharedNet(),
        optimizer=lambda weights: torch.optim.Adam(weights, lr=1e-3),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.3),
        shrinkage=shrinkage,
        loss=LogSquaredError(),
    )
    trainer = L.Trainer(
        max_epochs=2,
        logger=False,
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(task, simulated_hearts())
    return task


tasks = {"with low rank": train(shrinkage=True), "without": train(shrinkage=False)}

# %%
# The answer
# ----------
#
# Test both, and their start, on hearts that neither has seen. The PSNR of each heart shows whether a difference of the
# means is more than chance.

data = simulated_hearts()
data.prepare_data()
data.setup("test")
hearts = [data.datasets["test"][number] for number in range(4)]
networks = {"view sharing, untrained": ViewSharing()} | {name: task.network for name, task in tasks.items()}
found = {
    name: [quality(reconstruct(network, heart), heart)["psnr"] for heart in hearts]
    for name, network in networks.items()
}
for name, values in found.items():
    print(f"{name}: {sum(values) / len(values):.2f} dB, each {', '.join(f'{value:.2f}' for value in values)}")

start = torch.tensor(found.pop("view sharing, untrained"))
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for name, values in found.items():
    axes.plot(torch.tensor(values) - start, "o", label=name)
axes.axhline(0, color="0.6", linestyle="--", label="view sharing, untrained")
axes.set(xlabel="heart", ylabel="gain in PSNR, dB", xticks=range(4))
axes.legend()

# %%
# One seed and a minute are not a paper: ``lowrank-unroll study`` runs such a comparison over seeds and conditions, with
# confidence intervals. :doc:`/low_rank_results` has its results for the networks of this package.

image = reconstruct(networks["with low rank"], sample)
show(image, sample)

# %%
# The movie:

animate(image, sample)
