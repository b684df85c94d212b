"""Iterative reconstruction by tensor nuclear norm minimisation, a baseline without training."""

from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.linalg import spectral_norm, tensor_singular_value_threshold
from lowrank_unroll.networks.layers.fista import FISTAIteration, FISTAState
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.sample import COLOUR_AXES


class TensorNuclearNormRecon(UnrolledNetwork[FISTAState]):
    """Minimise 1/2 ||A x - y||^2 + threshold ||x||_TNN, by FISTA, for ||A|| <= 1.

    The tensor nuclear norm of a colour image is the sum of the nuclear norms of its Fourier transform along the
    channels (Lu et al., "Tensor robust principal component analysis with a new tensor nuclear norm", IEEE TPAMI 2020;
    for missing values Zhang et al., CVPR 2014). It has nothing to train: run ``test`` or ``predict``.

    Args:
        threshold: relative to the largest singular value of the transform of the zero-filled image.
        iterations: number of iterations.

    Raises:
        ValueError: if the threshold is negative or not finite, or there is no iteration.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False

    def __init__(self, threshold: float = 0.005, iterations: int = 100) -> None:
        check_not_negative(threshold=threshold)
        check_at_least(1, iterations=iterations)
        super().__init__([FISTAIteration(tensor_singular_value_threshold)] * iterations)
        self.threshold = threshold

    def initial_state(self, image: Tensor) -> FISTAState:
        """Start from the adjoint reconstruction."""
        slices = torch.fft.fft(image, dim=-3, norm="ortho")
        return FISTAState(image, image, self.threshold * spectral_norm(slices).amax(-1, keepdim=True), 1.0)
