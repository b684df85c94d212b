"""Measures of spectra: the number of singular values that count, and the gaps between them."""

import torch
from torch import Tensor

from lowrank_unroll.linalg.shrinkage import tie_tolerance


def relative_spectrum(S: Tensor) -> Tensor:
    """Return singular values as fractions of the largest, s_i / s_1; zeros for a zero matrix.

    Args:
        S: singular values, descending, shape (..., k).

    Returns:
        Shape of S, from 0 to 1, without unit.

    >>> relative_spectrum(torch.tensor([4.0, 2.0, 0.0]))
    tensor([1.0000, 0.5000, 0.0000])
    """
    largest = S[..., :1]
    return S / torch.where(largest > 0, largest, 1)


def effective_rank(S: Tensor) -> Tensor:
    """Return the exponential of the entropy of p_i = s_i / (s_1 + ... + s_k), Roy & Vetterli, EUSIPCO 2007.

    It is r for r equal singular values beside zeros, smaller than the rank otherwise, and continuous but for the zero
    matrix, whose effective rank is 0 here.

    Args:
        S: singular values, descending, shape (..., k).

    Returns:
        Shape (...), 0 or from 1 to k.

    >>> effective_rank(torch.tensor([2.0, 2.0, 0.0]))
    tensor(2.)
    """
    relative = relative_spectrum(S)
    shares = relative / relative.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(S[..., 0] > 0, torch.special.entr(shares).sum(-1).exp(), 0)


def relative_gaps(S: Tensor) -> Tensor:
    """Return the distances of neighbouring singular values, (s_i - s_{i+1}) / s_1; zeros for a zero matrix.

    Args:
        S: singular values, descending, shape (..., k).

    Returns:
        Shape (..., k - 1), from 0 to 1, without unit.

    >>> relative_gaps(torch.tensor([4.0, 2.0, 2.0]))
    tensor([0.5000, 0.0000])
    """
    relative = relative_spectrum(S)
    return relative[..., :-1] - relative[..., 1:]


def ties(S: Tensor) -> Tensor:
    """Return which neighbouring singular values are tied: their relative gap is at most :func:`tie_tolerance`.

    All pairs of a zero matrix and of an orthogonal one are tied, and all but the first of a matrix of rank one.

    Args:
        S: singular values, descending, shape (..., k), of a matrix with the same precision.

    Returns:
        Boolean, shape (..., k - 1).

    >>> ties(torch.tensor([4.0, 2.0, 2.0]))
    tensor([False,  True])
    """
    return relative_gaps(S) <= tie_tolerance(S.dtype)
