"""MoDL: a denoiser and conjugate gradients in turn (Aggarwal et al., IEEE TMI 2019, arXiv 1712.02862)."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.complex_series import ComplexFrames
from lowrank_unroll.networks.normalized import NormalizedNetwork, NormalizedState
from lowrank_unroll.operators import LinearOperator, proximal_step
from lowrank_unroll.sample import SERIES_AXES

WEIGHT = 0.05  # of the denoised series before training, as published


class MoDLIteration(nn.Module):
    """One iteration: z = x + CNN(x);    x = argmin ||A x - y||^2 + weight ||x - z||^2.

    The weight is learned as its logarithm, and stays positive.

    Args:
        denoiser: the CNN, of complex series.
    """

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.log_weight = nn.Parameter(torch.tensor(math.log(WEIGHT)))

    def forward(self, state: NormalizedState, measurement: Tensor, operator: LinearOperator) -> NormalizedState:
        """Advance the state by one iteration."""
        image, scale = state
        denoised = image + scale * self.denoiser(image / scale)
        return NormalizedState(proximal_step(denoised, measurement, operator, self.log_weight.exp()), scale)


class MoDL(NormalizedNetwork):
    """Iterations that share one denoiser of each frame, between data terms minimized by conjugate gradients.

    The denoiser has five convolutions, whose published 113,154 parameters do not depend on the number of iterations.
    The normalizations between them add 512, a factor and a summand for each channel, and the weight of the data term
    one.

    Batch normalization takes the mean and variance of each frame by itself, in training and in evaluation. In training
    on one slice at a time, batch normalization is the same. Its running averages, for evaluation, would mix all
    iterations, whose series differ, and the reconstruction of a series would depend on its batch. The last convolution
    has no normalization, so that the correction can shrink from iteration to iteration; the biases of the others
    cancel in the normalization. Before training it takes proximal steps on the data term alone: ten random corrections
    by the same weights would add up.

    Args:
        features: channels between the convolutions.
        iterations: number of unrolled iterations.
        depth: convolutions of the denoiser.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1, or ``depth`` below 2.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 64,
        iterations: int = 10,
        depth: int = 5,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        check_at_least(2, depth=depth)
        shared = MoDLIteration(ComplexFrames(_denoiser(features, depth)))
        super().__init__([shared], checkpoint_iterations, start, repetitions=iterations)


def _denoiser(features: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(2, features, kernel_size=3, padding=1)]
    for after in (*[features] * (depth - 2), 2):
        layers += [nn.InstanceNorm2d(features, affine=True), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(features, after, kernel_size=3, padding=1)]
    for parameter in layers[-1].parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(*layers)
