"""Random images, and operators for them."""

import torch

from lowrank_unroll.operators import CoilSensitivity, Mask

SERIES = (2, 3, 8, 6)


def complex_randn(*shape):
    return torch.randn(*shape, dtype=torch.complex128)


def random_mask():
    return Mask(torch.rand(2, 1, 3, 8, 6) < 0.4)


def coils():
    sensitivities = complex_randn(2, 4, 1, 8, 6)
    return CoilSensitivity(sensitivities / sensitivities.abs().square().sum(1, keepdim=True).sqrt())


def inner(one, other):
    return (one.conj() * other).sum()
