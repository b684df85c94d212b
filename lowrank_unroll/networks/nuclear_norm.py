"""Iterative reconstruction by nuclear norm minimisation, baselines without training."""

from typing import ClassVar

from torch import Tensor

from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.linalg import spectral_norm
from lowrank_unroll.networks.layers.fista import FISTAIteration, FISTAState
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.prox import casorati, casorati_singular_value_threshold
from lowrank_unroll.sample import COLOUR_AXES, SERIES_AXES


class NuclearNormRecon(UnrolledNetwork[FISTAState]):
    """Minimise 1/2 ||A x - y||^2 + threshold ||Casorati matrix of x||_* by FISTA, for ||A|| <= 1.

    It has nothing to train: run ``test`` or ``predict``.

    Args:
        threshold: relative to the largest singular value of the Casorati matrix of the zero-filled series.
        iterations: number of iterations.

    Raises:
        ValueError: if the threshold is negative or not finite, or there is no iteration.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(self, threshold: float = 0.003, iterations: int = 50) -> None:
        check_not_negative(threshold=threshold)
        check_at_least(1, iterations=iterations)
        super().__init__([FISTAIteration(casorati_singular_value_threshold)] * iterations)
        self.threshold = threshold

    def initial_state(self, image: Tensor) -> FISTAState:
        """Start from the adjoint reconstruction."""
        return FISTAState(image, image, self.threshold * spectral_norm(casorati(image)), 1.0)


class SpectralNuclearNormRecon(NuclearNormRecon):
    """The same for multi- and hyperspectral images, whose unfolding along the spectrum is channel x pixels.

    It has nothing to train: run ``test`` or ``predict``.

    Args:
        threshold: relative to the largest singular value of the unfolding of the zero-filled image.
        iterations: number of iterations.

    Raises:
        ValueError: if the threshold is negative or not finite, or there is no iteration.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False

    def __init__(self, threshold: float = 0.003, iterations: int = 200) -> None:
        super().__init__(threshold, iterations)
