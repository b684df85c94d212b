"""
The exact gradient in your own network
======================================

Singular value shrinkage is one function call in any PyTorch network, and its gradient is right where that of an SVD is
NaN. We train a network of twenty lines that removes noise from a series, without Lightning, twice: through
``torch.linalg.svd``, and through :func:`~lowrank_unroll.linalg.singular_value_threshold`.
"""

import torch

from lowrank_unroll.linalg import singular_value_threshold


def by_svd(A, threshold):
    """Shrink singular values as one writes it down; threshold relative to the largest."""
    U, S, Vh = torch.linalg.svd(A, full_matrices=False)
    shrunk = (S - threshold * S[..., :1]).relu()
    return (U * shrunk[..., None, :]) @ Vh


def exactly(A, threshold):
    """The same values, with the derivative of the shrunk matrix instead of those of its singular vectors."""
    return singular_value_threshold(A, threshold, relative=True)


A = torch.randn(5, 8, 30)
print("largest difference of the two:", float((by_svd(A, 0.3) - exactly(A, 0.3)).abs().max()))

# %%
# Where they differ
# -----------------
#
# The backward pass of an SVD divides by ``s_i² - s_j²``, so that two equal singular values make it NaN. They are not
# rare: all but one singular value of a static series are zero. The derivative of the shrunk matrix has no such
# division.

static = torch.ones(8, 30)
for shrink in (by_svd, exactly):
    X = static.clone().requires_grad_()
    shrink(X, 0.3).square().sum().backward()
    print(f"{shrink.__name__}: {int(X.grad.isfinite().sum())} of {X.grad.numel()} values of the gradient are finite")

# %%
# A network
# ---------
#
# Each iteration shrinks a learned transform of the series and subtracts the result from the noisy series; frames are
# the rows of the matrix. Only the argument ``shrink`` depends on this package.

from torch import nn


class Denoiser(nn.Module):
    """Unrolled low-rank denoising of series (batch, time, pixels)."""

    def __init__(self, shrink, iterations=3, features=4):
        super().__init__()
        self.shrink = shrink
        self.encoders = nn.ModuleList(nn.Conv1d(1, features, 5, padding=2) for _ in range(iterations))
        self.decoders = nn.ModuleList(nn.Conv1d(features, 1, 5, padding=2) for _ in range(iterations))
        self.thresholds = nn.Parameter(torch.full((iterations,), -2.0))

    def forward(self, noisy):
        series = noisy
        for encoder, decoder, threshold in zip(self.encoders, self.decoders, self.thresholds, strict=True):
            batch, time, pixels = series.shape
            features = encoder(series.reshape(-1, 1, pixels))  # of each frame along its pixels
            matrices = features.reshape(batch, time, -1, pixels).transpose(1, 2)
            shrunk = self.shrink(matrices, threshold.sigmoid()).transpose(1, 2)
            series = noisy - decoder(shrunk.reshape(-1, features.shape[1], pixels)).reshape(noisy.shape)
        return series


# %%
# The data are bumps that appear and disappear, with noise. One in sixteen is empty, like the background of a scan.

GRID = torch.linspace(-1, 1, 48)


def batch_of_series(number=16, time=12):
    """Clean and noisy series, (number, time, pixels)."""
    centres, widths, phases = (torch.rand(number, 3, 1) for _ in range(3))
    bumps = torch.exp(-(((GRID - 1.6 * centres + 0.8) / (0.1 + 0.2 * widths)) ** 2))
    brightness = 1 + torch.sin(torch.arange(time) / 2 + 6 * phases)
    clean = brightness.transpose(1, 2) @ bumps
    noisy = clean + 0.3 * torch.randn_like(clean)
    clean[0], noisy[0] = 0, 0
    return clean, noisy


# %%
# Training
# --------
#
# The loop stops at a gradient that is not finite, before it reaches the weights.


def train(shrink, steps=300):
    """The losses of a training, as far as it goes, and the network."""
    torch.manual_seed(0)
    network = Denoiser(shrink)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        clean, noisy = batch_of_series()
        loss = (network(noisy) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if not all(weight.grad.isfinite().all() for weight in network.parameters()):
            break
        optimizer.step()
        losses.append(loss.item())
    return losses, network


found = {shrink.__name__: train(shrink) for shrink in (by_svd, exactly)}
for name, (losses, _) in found.items():
    print(f"{name}: {len(losses)} steps")

# %%
# The dashed line is the error of the noisy series themselves: 0.09 in all but the empty sixteenth.

import matplotlib.pyplot as plt

losses, network = found["exactly"]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(losses, label="exact gradient")
axes.axhline(0.09 * 15 / 16, color="0.6", linestyle="--", label="noise")
axes.set(xlabel="step", ylabel="mean squared error", yscale="log")
axes.legend()

# %%
# On a series that it has never seen:

torch.manual_seed(1)
clean, noisy = batch_of_series()
with torch.no_grad():
    denoised = network(noisy)
    best = min(float((exactly(noisy, share / 50) - clean).square().mean()) for share in range(50))
error = float((denoised - clean).square().mean())
print(f"noise: {float((noisy - clean).square().mean()):.4f}")
print(f"shrinkage without training, best threshold: {best:.4f}")
print(f"network: {error:.4f}")

figure, grid = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for axes, title, series in zip(grid, ("clean", "noisy", "network"), (clean, noisy, denoised), strict=True):
    axes.imshow(series[1], vmin=0, vmax=3, cmap="gray", aspect="auto")
    axes.set(title=title, xlabel="pixel", ylabel="frame")

# %%
# :func:`~lowrank_unroll.linalg.spectral_function` takes other shrinkages (hard, firm, Schatten-p, your own), and
# :class:`~lowrank_unroll.prox.LowRankProx` is the learned block of the networks in this package. :doc:`/gradients`
# derives the gradient, and has its errors and times.
