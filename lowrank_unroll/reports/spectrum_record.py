"""Singular values and thresholds of low-rank steps, recorded in the course of a training."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lowrank_unroll.linalg import effective_rank, relative_gaps, relative_spectrum, ties

SMALLEST_LOGGED = 1e-8  # of s_1, below the resolution of single precision


class SpectrumRow(NamedTuple):
    """Spectrum of some matrices of a batch in one iteration of a network at one training step; a row of the file.

    ``threshold`` is relative to the largest singular value, the mean over the matrices. The ranks, see
    :func:`lowrank_unroll.linalg.effective_rank`, are means over the matrices, and ``rank_after`` counts the singular
    values above the threshold. ``smallest_gap`` is the smallest (s_i - s_{i+1}) / s_1 of any matrix, and ``ties`` the
    share of the neighbouring pairs whose gap single precision cannot resolve; nan for matrices of a single row.
    """

    step: int
    iteration: int
    threshold: float
    effective_rank_before: float
    effective_rank_after: float
    rank_after: float
    smallest_gap: float
    ties: float


@torch.no_grad()
def sampled_singular_values(matrices: Tensor, count: int) -> Tensor:
    """Return singular values of at most ``count`` matrices of a batch (..., m, n), evenly spread over it.

    Returns:
        (count, min(m, n)), descending, single precision.
    """
    flat = matrices.reshape(-1, *matrices.shape[-2:])
    chosen = _evenly_spread(min(count, len(flat)), len(flat), flat.device)
    S: Tensor = torch.linalg.svdvals(flat[chosen].to(torch.complex64 if flat.is_complex() else torch.float32))
    return S


def _evenly_spread(count: int, total: int, device: torch.device) -> Tensor:
    return torch.linspace(0, total - 1, count, device=device).round().long()


@torch.no_grad()
def sampled_thresholds(fraction: Tensor, unit: Tensor | None, S: Tensor, batch: torch.Size) -> Tensor:
    """Return the thresholds of the matrices whose singular values are S, relative to the largest of each.

    Args:
        fraction: the first argument of :class:`~lowrank_unroll.prox.RelativeThreshold` after the matrices, a scalar.
        unit: of the fraction; None for the largest singular value of each matrix.
        S: from :func:`sampled_singular_values`, (count, k).
        batch: shape of the batch of matrices.

    Returns:
        (count,).
    """
    if unit is None:
        return fraction.expand(len(S))
    units = unit.expand(batch).flatten()[_evenly_spread(len(S), batch.numel(), unit.device)]
    return fraction * units / S[:, 0].clamp(min=torch.finfo(S.dtype).tiny)


def log10_spectrum(S: Tensor) -> Tensor:
    """Return log10(s_i / s_1) of singular values (matrices, k), flat, at least that of the smallest ratio logged."""
    return relative_spectrum(S).clamp(min=SMALLEST_LOGGED).log10().flatten()


def spectrum_row(step: int, iteration: int, threshold: Tensor, S: Tensor) -> SpectrumRow:
    """Summarise the singular values (matrices, k) before an iteration, and its relative thresholds (matrices,)."""
    after = (S - threshold[:, None] * S[:, :1]).relu()
    return SpectrumRow(
        step,
        iteration,
        threshold=float(threshold.mean()),
        effective_rank_before=float(effective_rank(S).mean()),
        effective_rank_after=float(effective_rank(after).mean()),
        rank_after=float((after > 0).sum(1).float().mean()),
        smallest_gap=min(relative_gaps(S).flatten().tolist(), default=math.nan),
        ties=float(ties(S).float().mean()),
    )
