"""The low-rank proximal block that every network here shares."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lowrank_unroll.linalg import SVDGradient, at_least_single, casorati, exact, singular_value_threshold, svd

ShrinkageGradient = Literal["exact"] | SVDGradient
Matricization = Literal["image", "casorati"]


class RelativeThreshold(nn.Module):
    """Soft-threshold singular values at a fraction of each matrix's largest.

    A module, so that its forward hooks see the matrices that :class:`LowRankProx` shrinks, and how far.

    Args:
        gradient: "exact", or the rule of :func:`lowrank_unroll.linalg.svd` to differentiate the SVD by.
    """

    def __init__(self, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.gradient = gradient

    @exact
    def forward(self, matrices: Tensor, fraction: Tensor) -> Tensor:
        """Shrink matrices (..., m, n), real or complex, by a fraction from 0 to 1, a scalar."""
        if self.gradient == "exact":
            return singular_value_threshold(matrices, fraction, relative=True)
        U, S, Vh = svd(matrices, self.gradient)
        S = (S - fraction * S[..., :1]).relu()
        return (U * S[..., None, :]) @ Vh

    def extra_repr(self) -> str:
        """The rule, for ``print``."""
        return f"gradient={self.gradient!r}"


class LowRankProx(nn.Module):
    """Shrink singular values, in a learned transform domain: decoder(SVT(encoder(x))).

    The threshold is sigmoid(logit) times the largest singular value of each matrix, so the block is positively
    homogeneous: prox(c x) = c prox(x) for c > 0, provided the encoder and decoder are.

    Args:
        encoder: applied before the shrinkage; None for no transform.
        decoder: applied after it; None for no transform.
        matricization: which matrices are shrunk. "image": the last two dims, each image by itself; "casorati": the
            last two dims become the columns, so that (..., time, height, width) is one matrix of time x pixels.
        gradient: "exact", or the rule of :func:`lowrank_unroll.linalg.svd` to differentiate the SVD by.
        threshold_logit: initial value of the logit.

    Raises:
        ValueError: if ``matricization`` or ``gradient`` is not one of the above.
    """

    def __init__(
        self,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        matricization: Matricization = "image",
        gradient: ShrinkageGradient = "exact",
        threshold_logit: float = -2.0,
    ) -> None:
        super().__init__()
        gradients = ("exact", *get_args(SVDGradient))
        if gradient not in gradients:
            raise ValueError(f"gradient is {gradient!r}, expected one of {', '.join(map(repr, gradients))}")
        if matricization not in get_args(Matricization):
            raise ValueError(f"matricization is {matricization!r}, expected 'image' or 'casorati'")
        self.encoder = encoder or nn.Identity()
        self.decoder = decoder or nn.Identity()
        self.matricization = matricization
        self.shrinkage = RelativeThreshold(gradient)
        self.threshold_logit = nn.Parameter(torch.tensor(threshold_logit))

    def forward(self, image: Tensor) -> Tensor:
        """Shrink an image (..., height, width) or series (..., time, height, width), real or complex."""
        # Under automatic mixed precision the encoder's convolutions end in half precision, and singular values begin.
        features = at_least_single(self.encoder(image))
        matrices = casorati(features) if self.matricization == "casorati" else features
        shrunk = self.shrinkage(matrices, self.threshold_logit.sigmoid())
        return self.decoder(shrunk.reshape(features.shape))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The setting that is not a submodule, for ``print``."""
        return f"matricization={self.matricization!r}"
