"""
A real-time heart from radial spokes
====================================

Real-time MRI has no time for a whole Cartesian grid: it measures a few radial spokes per frame, each turned by the
golden angle. We draw such a trajectory, measure a simulated heart along it, and see what the number of spokes costs.
"""

import matplotlib.pyplot as plt
import torch

# %%
# Spokes
# ------
#
# A trajectory is a sampling pattern that returns positions instead of a mask: (time, samples, 2), along height and
# width, in cycles per field of view. The golden angle spreads any number of consecutive spokes evenly, so that four
# frames together are sampled about four times as densely.

from lowrank_unroll.sampling import GoldenAngleRadial

shape = (12, 64, 64)  # time, height, width
pattern = GoldenAngleRadial(spokes=8)
trajectory = pattern(shape, torch.Generator().manual_seed(0))
figure, grid = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
drawn = {"frame 1": [0], "frame 2": [1], "frame 3": [2], "frames 1 to 4": [0, 1, 2, 3]}
for axes, (title, frames) in zip(grid, drawn.items(), strict=True):
    for spoke in trajectory[frames].unflatten(1, (8, -1)).flatten(0, 1):
        axes.plot(spoke[:, 1], spoke[:, 0], color="0.2", linewidth=0.7)
    axes.set(title=title, aspect="equal", xticks=[-32, 0, 32], yticks=[-32, 0, 32])

# %%
# The measurement
# ---------------
#
# Four coils and noise. k-space has no rows and columns any more: it is (coil, time, samples).

from datamodules import measure_series
from datamodules.dynamic_mri.phantom import beating_heart
from lowrank_unroll.notebook import animate, operator_of, quality, reconstruct, show

heart = beating_heart(shape, torch.Generator().manual_seed(1))
sample = measure_series(heart, pattern, coils=4, snr=50)
print(f"k-space {tuple(sample.measurement.shape)}: coil, time, samples")

# %%
# The spokes crowd the center, and each sample there stands for little of k-space. Density weights say how much. They
# are part of operator and measurement, so that the adjoint is the gridded image, and methods converge sooner.

radius = sample.trajectory[0].norm(dim=-1)
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.plot(radius, sample.weights[0], ".", markersize=3)
axes.set(xlabel="distance from the center, cycles per field of view", ylabel="density weight", ylim=0)

# %%
# Reconstruction
# --------------
#
# Nothing else changes: all networks and methods without training take the operator of this sample as they take that of
# a grid. The gridded image has no scale of its own; we give it the best one.

from lowrank_unroll.networks import LocallyLowRankRecon, ViewSharing

gridded = operator_of(sample).adjoint(sample.measurement[None])[0]
gridded *= (gridded.conj() * sample.target).sum() / gridded.abs().square().sum()
image = reconstruct(LocallyLowRankRecon(), sample)
for name, series in {
    "gridded": gridded,
    "view sharing": reconstruct(ViewSharing(), sample),
    "locally low rank": image,
}.items():
    print(f"{name}: {quality(series, sample)['psnr']:.1f} dB")
show(image, sample)

# %%
# How many spokes?
# ----------------
#
# Fewer spokes are a shorter frame: at 3 ms each, eight of them take 24 ms. This is what they cost in quality:

found = []
for spokes in (3, 5, 8, 13):
    fewer = measure_series(heart, GoldenAngleRadial(spokes), coils=4, snr=50)
    found.append(quality(reconstruct(LocallyLowRankRecon(), fewer), fewer)["psnr"])
    print(f"{spokes} spokes: {found[-1]:.1f} dB")
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.plot([3, 5, 8, 13], found, "o-")
axes.set(xlabel="spokes per frame", ylabel="PSNR, dB")

# %%
# A network is trained along a trajectory in the same way, ``lowrank-unroll fit --config dynamic_mri/radial.yaml``;
# :doc:`/how_to/non_cartesian` has more. The movie:

animate(image, sample)
