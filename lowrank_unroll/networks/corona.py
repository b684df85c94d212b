"""CORONA: robust principal component analysis with convolutions (Solomon et al., IEEE TMI 2020, arXiv 1811.08252)."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.fast_convolutions import FewInputsConv3d
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, adjoint_residual
from lowrank_unroll.prox import LowRankProx, ShrinkageGradient, soft_threshold
from lowrank_unroll.sample import COMPONENTS_AXES

ISTA = ((0.0, 0.5), (1.0, 0.5))  # of L and S, from S and R: a gradient step of 1/2, since ||A||^2 is 2


class CORONAState(NamedTuple):
    """The background L and the sparse part S, (batch, 2, time, height, width), real or complex."""

    image: Tensor


class CORONAIteration(nn.Module):
    """One iteration: L' = SVT(L + P1 S + P2 R);    S' = soft(P3 S + P4 R), with convolutions P.

    R = A^H (y - A (L + S)) is the residual.
    """

    def __init__(self, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.convolution = FewInputsConv3d(2, 2)
        self.prox = LowRankProx(matricization="casorati", gradient=gradient, threshold_logit=-8.0)
        self.log_threshold = nn.Parameter(torch.tensor(0.5))
        with torch.no_grad():
            self.convolution.weight.zero_()
            self.convolution.weight[:, :, 1, 1, 1] = torch.tensor(ISTA)

    def forward(self, state: CORONAState, measurement: Tensor, operator: LinearOperator) -> CORONAState:
        """Advance the state by one iteration."""
        low_rank, sparse = state.image.unbind(1)
        residual = adjoint_residual(state.image, measurement, operator)[:, 0]
        correction, sparse = self._convolve(torch.stack([sparse, residual], dim=1)).unbind(1)
        threshold = self.log_threshold.exp() * sparse.abs().mean((1, 2, 3), keepdim=True)
        return CORONAState(torch.stack([self.prox(low_rank + correction), soft_threshold(sparse, threshold)], dim=1))

    def _convolve(self, series: Tensor) -> Tensor:
        """Convolve by real kernels: the real and the imaginary parts of complex series by the same."""
        if not series.is_complex():
            return self.convolution(series)  # type: ignore[no-any-return]
        real, imaginary = at_least_single(self.convolution(torch.cat([series.real, series.imag]))).chunk(2)
        return torch.complex(real, imaginary)


class CORONA(UnrolledNetwork[CORONAState]):
    """Part a series into a background of low rank and a sparse part by unrolled ISTA with learned convolutions.

    The threshold of the singular values is a learned fraction of the largest, that of S a learned multiple of the mean
    magnitude, of each sample, as in the paper. The network is then positively homogeneous.

    The paper convolves L, S and the measured series D. Here the background is in no convolution but by the residual
    D - L - S: clutter may be a hundred times stronger than what moves, and a kernel that lets a hundredth of it into S
    would hide that. Convolutions begin as those of ISTA for ||Casorati matrix of L||_* and ||S||_1. They are real, also
    for complex series, so that a phase of the series is one of both parts, and have kernels of 3 frames and 3 x 3
    pixels.

    Args:
        iterations: number of unrolled iterations.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, such as :class:`PrincipalComponentPursuit`; None to take all that is measured
            for background.

    Raises:
        ValueError: if there is no iteration, or ``gradient`` is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COMPONENTS_AXES

    def __init__(
        self,
        iterations: int = 10,
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, iterations=iterations)
        super().__init__((CORONAIteration(gradient) for _ in range(iterations)), checkpoint_iterations, start)

    def initial_state(self, image: Tensor) -> CORONAState:
        """Start from both components of ``start``; without it take all that is measured for background."""
        if self.start is not None:
            return CORONAState(image)
        return CORONAState(torch.stack([image[:, 0], torch.zeros_like(image[:, 0])], dim=1))
