"""
Low-rank plug-and-play in deepinv
=================================

`deepinv <https://deepinv.github.io>`_ unfolds iterative algorithms around a denoiser and trains them end to end. A
low-rank denoiser of series is four lines with ``torch.linalg.svd``, and its gradient is NaN as soon as two singular
values are equal. We complete series of which a third of the values is known, by the same unfolded algorithm with that
denoiser and with :class:`~lowrank_unroll.interop.deepinv.LowRankDenoiser`. It needs deepinv: ``pip install
"lowrank-unroll[deepinv]"``.
"""

import deepinv as dinv
import torch

from lowrank_unroll.interop.deepinv import LowRankDenoiser
from lowrank_unroll.prox import Casorati


class SVDDenoiser(dinv.models.Denoiser):
    """Shrink the singular values of the matrix of time x pixels, as one writes it down."""

    def forward(self, x, sigma):
        U, S, Vh = torch.linalg.svd(x.flatten(-2), full_matrices=False)
        rows, columns = U.shape[-2], Vh.shape[-1]
        shrunk = (S - sigma * (rows**0.5 + columns**0.5)).relu()
        return ((U * shrunk[..., None, :]) @ Vh).reshape(x.shape)


x = torch.randn(2, 1, 10, 16, 16)  # (batch, channel, time, height, width)
difference = SVDDenoiser()(x, 0.1) - LowRankDenoiser(Casorati())(x, 0.1)
print(f"largest difference of the two denoisers: {float(difference.abs().max()):.1e}")

# %%
# Series
# ------
#
# Two blobs light up at different times: the matrix of time x pixels has rank two. One series in eight is empty, as a
# background is, and all its singular values are equal.

axis = torch.linspace(-1, 1, 16)


def batch_of_series(number=8):
    """Series (number, 1, 10, 16, 16) with values from 0 to 1."""
    centres, phases = torch.rand(number, 2, 2, 1) - 0.5, 6 * torch.rand(number, 2, 1)
    rows, columns = (torch.exp(-(((axis - centres[:, :, dim]) / 0.3) ** 2)) for dim in range(2))
    brightness = 0.5 + 0.5 * torch.sin(torch.arange(10) / 2 + phases)
    series = torch.einsum("nbt,nbh,nbw->nthw", brightness, rows, columns)[:, None]
    series[0] = 0
    return series


# %%
# The algorithm
# -------------
#
# deepinv's proximal gradient descent, unfolded: each of eight iterations has a step size and a noise level of its own
# to learn. The denoiser has nothing else to learn; it could hold a network.

torch.manual_seed(0)
physics = dinv.physics.Inpainting((1, 10, 16, 16), mask=(torch.rand(1, 10, 16, 16) < 0.33).float())


def unfolded(denoiser):
    """Unfolded plug-and-play descent with this denoiser."""
    iterations = 8
    return dinv.optim.PGD(
        dinv.optim.L2(),
        dinv.optim.PnP(denoiser),
        stepsize=[1.0] * iterations,
        sigma_denoiser=[0.02] * iterations,
        max_iter=iterations,
        unfold=True,
        trainable_params=["stepsize", "g_param"],
    )


# %%
# Training
# --------
#
# The loop stops at a gradient that is not finite, before it reaches the parameters.


def train(denoiser, steps=60):
    """The losses of a training, as far as it goes, and the trained model."""
    torch.manual_seed(1)
    model = unfolded(denoiser)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        series = batch_of_series()
        loss = (model(physics(series), physics) - series).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if not all(weight.grad.isfinite().all() for weight in model.parameters()):
            break
        optimizer.step()
        losses.append(loss.item())
    return losses, model


found = {type(denoiser).__name__: train(denoiser) for denoiser in (SVDDenoiser(), LowRankDenoiser(Casorati()))}
for name, (losses, _) in found.items():
    print(f"{name}: {len(losses)} steps")

# %%
# On series that it has not seen:

import matplotlib.pyplot as plt

_, model = found["LowRankDenoiser"]
torch.manual_seed(2)
series = batch_of_series(32)
measured = physics(series)
with torch.no_grad():
    untrained, trained = unfolded(LowRankDenoiser(Casorati()))(measured, physics), model(measured, physics)
for name, result in (("zero-filled", measured), ("before training", untrained), ("after training", trained)):
    print(f"{name}: {float((result - series).square().mean()):.5f}")

figure, grid = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
titles = ("truth", "measured", "before training", "after training")
for axes, title, result in zip(grid, titles, (series, measured, untrained, trained), strict=True):
    axes.imshow(result[1, 0, 3], vmin=0, vmax=1, cmap="gray")
    axes.set(title=title, xticks=[], yticks=[])

# %%
# :doc:`/how_to/libraries` has the other adapters: the nuclear norm as a prior with its proximal map, our untrained
# methods on deepinv's CT, blur and MRI, its denoisers in our networks, and mrpro and bartorch.
