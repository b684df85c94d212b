"""The low-rank proximal block that all networks share."""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lowrank_unroll.deprecation import renamed_arguments
from lowrank_unroll.errors import UsageError
from lowrank_unroll.linalg import SVDGradient, at_least_single, full_precision, singular_value_threshold, svd
from lowrank_unroll.prox.matricizations import Casorati, Frames, Matricization

ShrinkageGradient = Literal["exact"] | SVDGradient

NAMED: Mapping[str, Matricization] = {"image": Frames(), "casorati": Casorati()}


class RelativeThreshold(nn.Module):
    """Soft-threshold singular values at a fraction of each matrix's largest, or of another unit.

    It is a module so that forward hooks see the matrices that :class:`LowRankProx` shrinks, and their threshold.

    Args:
        gradient: "exact", or a gradient rule of :func:`lowrank_unroll.linalg.svd`.
    """

    def __init__(self, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.gradient = gradient

    @full_precision
    def forward(self, matrices: Tensor, fraction: Tensor, unit: Tensor | None = None) -> Tensor:
        """Shrink matrices.

        Args:
            matrices: (..., m, n), real or complex.
            fraction: scalar from 0 to 1.
            unit: the threshold is this times the fraction; broadcasts to (...). None for the largest singular value of
                each matrix.
        """
        if self.gradient == "exact":
            threshold = fraction if unit is None else fraction * unit
            return singular_value_threshold(matrices, threshold, relative=unit is None)
        U, S, Vh = svd(matrices, self.gradient)
        S = (S - fraction * (S[..., :1] if unit is None else unit[..., None])).relu()
        return (U * S[..., None, :]) @ Vh

    def extra_repr(self) -> str:
        """Return the gradient rule, for ``print``."""
        return f"gradient={self.gradient!r}"


class LowRankProx(nn.Module):
    """Shrink singular values, in a learned transform domain: decoder(SVT(encoder(x))).

    The threshold is sigmoid(logit) times the largest singular value of each matrix. For blocks and patches it is
    sigmoid(logit) times the RMS Frobenius norm of the sample's matrices. Either makes the block positively homogeneous,
    prox(c x) = c prox(x) for c > 0, if the encoder and decoder are.

    Args:
        encoder: applied before the shrinkage; None for no transform.
        decoder: applied after it; None for no transform.
        matricization: the matrices to shrink. "image": the last two dims, each image by itself; "casorati": a series
            (..., time, height, width) as one matrix of time x pixels; or a :class:`Matricization`, such as ``Blocks()``
            of a series or ``Patches()`` of an image.
        gradient: "exact", or a gradient rule of :func:`lowrank_unroll.linalg.svd`.
        threshold_logit: initial value of the logit.

    Raises:
        ValueError: if ``matricization`` or ``gradient`` is not one of the above.

    >>> prox = LowRankProx(threshold_logit=0.0)  # sigmoid(0) = 1/2 of the largest singular value
    >>> prox(torch.diag(torch.tensor([4.0, 3.0, 1.0]))).round(decimals=4).detach()
    tensor([[2., 0., 0.],
            [0., 1., 0.],
            [0., 0., 0.]])
    >>> LowRankProx(matricization=Blocks(4))(torch.randn(1, 5, 8, 8, dtype=torch.complex64)).shape
    torch.Size([1, 5, 8, 8])
    """

    def __init__(
        self,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        matricization: Literal["image", "casorati"] | Matricization = "image",
        gradient: ShrinkageGradient = "exact",
        threshold_logit: float = -2.0,
    ) -> None:
        super().__init__()
        gradients = ("exact", *get_args(SVDGradient))
        if gradient not in gradients:
            raise ValueError(f"gradient is {gradient!r}, expected one of {', '.join(map(repr, gradients))}")
        chosen = NAMED.get(matricization) if isinstance(matricization, str) else matricization
        if not isinstance(chosen, Matricization):
            raise ValueError(  # noqa: TRY004  the same for an unknown name
                f"matricization is {matricization!r}, expected 'image', 'casorati', or one such as Blocks()"
            )
        self.encoder = encoder or nn.Identity()
        self.decoder = decoder or nn.Identity()
        self.matricization = chosen
        self.shrinkage: RelativeThreshold | None = RelativeThreshold(gradient)
        self.threshold_logit = nn.Parameter(torch.tensor(threshold_logit))

    @renamed_arguments(places="matches")
    def forward(self, image: Tensor, matches: Tensor | None = None) -> Tensor:
        """Shrink an image (..., height, width) or series (..., time, height, width), real or complex.

        Args:
            image: what to shrink.
            matches: from :meth:`locate`; None to find them here.
        """
        # Under automatic mixed precision the encoder returns half precision, in which there is no SVD.
        features = at_least_single(self.encoder(image))
        if self.shrinkage is not None:
            matches = self.matricization.locate(features) if matches is None else matches
            features = self._shrink(features, matches, self.shrinkage)
        return self.decoder(features)  # type: ignore[no-any-return]

    @torch.no_grad()
    def locate(self, image: Tensor) -> Tensor | None:
        """Find the matches of an image, for several steps to share; None if they do not depend on the image.

        None also after :meth:`remove_shrinkage`.
        """
        return None if self.shrinkage is None else self.matricization.locate(at_least_single(self.encoder(image)))

    def remove_shrinkage(self) -> None:
        """Leave singular values as they are from now on, to ablate the shrinkage."""
        self.shrinkage = None
        self.threshold_logit.requires_grad_(False)  # a parameter without gradient would stall multi-device training

    def _shrink(self, features: Tensor, matches: Tensor | None, shrinkage: RelativeThreshold) -> Tensor:
        unit = self.matricization.rms_norm(features, matches)

        def shrink(matrices: Tensor) -> Tensor:
            mean = matrices.mean(-2, keepdim=True) if self.matricization.centered else 0
            shrunk: Tensor = shrinkage(matrices - mean, self.threshold_logit.sigmoid(), unit)
            return shrunk + mean

        return self.matricization.map(shrink, features, matches)

    @property
    def threshold_unit(self) -> str:
        """Name of the quantity that the threshold is a fraction of."""
        return self.matricization.threshold_unit

    def extra_repr(self) -> str:
        """Return the setting that is not a submodule, for ``print``."""
        return f"matricization={self.matricization}"


def trained_low_rank_steps(network: nn.Module) -> list[LowRankProx]:
    """Return the low-rank steps of a network whose thresholds it learns; none for a method without training."""
    steps = [module for module in network.modules() if isinstance(module, LowRankProx)]
    return [step for step in steps if step.threshold_logit.requires_grad]


def remove_shrinkage(network: nn.Module) -> None:
    """Replace every shrinkage that a network learns by the identity, for good.

    Raises:
        UsageError: if the network learns none.
    """
    steps = trained_low_rank_steps(network)
    if not steps:
        raise UsageError(f"{type(network).__name__} learns no low-rank step that --model.shrinkage could leave out")
    for step in steps:
        step.remove_shrinkage()
