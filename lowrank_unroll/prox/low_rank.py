"""The low-rank proximal block that every network here shares."""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lowrank_unroll.errors import UsageError
from lowrank_unroll.linalg import SVDGradient, at_least_single, exact, singular_value_threshold, svd
from lowrank_unroll.prox.matricizations import Casorati, Images, Matricization

ShrinkageGradient = Literal["exact"] | SVDGradient

NAMED: Mapping[str, Matricization] = {"image": Images(), "casorati": Casorati()}


class RelativeThreshold(nn.Module):
    """Soft-threshold singular values at a fraction of each matrix's largest, or of another unit.

    A module, so that its forward hooks see the matrices that :class:`LowRankProx` shrinks, and how far.

    Args:
        gradient: "exact", or the rule of :func:`lowrank_unroll.linalg.svd` to differentiate the SVD by.
    """

    def __init__(self, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.gradient = gradient

    @exact
    def forward(self, matrices: Tensor, fraction: Tensor, unit: Tensor | None = None) -> Tensor:
        """Shrink matrices (..., m, n), real or complex, by a fraction from 0 to 1, a scalar.

        What it is a fraction of, ``unit``, broadcasts to (...): the largest singular value of each matrix by default.
        """
        if self.gradient == "exact":
            threshold = fraction if unit is None else fraction * unit
            return singular_value_threshold(matrices, threshold, relative=unit is None)
        U, S, Vh = svd(matrices, self.gradient)
        S = (S - fraction * (S[..., :1] if unit is None else unit[..., None])).relu()
        return (U * S[..., None, :]) @ Vh

    def extra_repr(self) -> str:
        """The rule, for ``print``."""
        return f"gradient={self.gradient!r}"


class LowRankProx(nn.Module):
    """Shrink singular values, in a learned transform domain: decoder(SVT(encoder(x))).

    The threshold is sigmoid(logit) times the largest singular value of each matrix or, where the matrices are parts of
    one whole, times the root mean square of their Frobenius norms; so the block is positively homogeneous:
    prox(c x) = c prox(x) for c > 0, provided the encoder and decoder are.

    Args:
        encoder: applied before the shrinkage; None for no transform.
        decoder: applied after it; None for no transform.
        matricization: which matrices are shrunk. "image": the last two dims, each image by itself; "casorati": the
            last two dims become the columns, so that (..., time, height, width) is one matrix of time x pixels; or a
            :class:`Matricization`, such as ``Blocks()`` of a series or ``Patches()`` of an image.
        gradient: "exact", or the rule of :func:`lowrank_unroll.linalg.svd` to differentiate the SVD by.
        threshold_logit: initial value of the logit.

    Raises:
        ValueError: if ``matricization`` or ``gradient`` is not one of the above.
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

    def forward(self, image: Tensor, places: Tensor | None = None) -> Tensor:
        """Shrink an image (..., height, width) or series (..., time, height, width), real or complex.

        Args:
            image: what to shrink.
            places: where its matrices lie, if that is known already, see :meth:`locate`.
        """
        # Under automatic mixed precision the encoder's convolutions end in half precision, and singular values begin.
        features = at_least_single(self.encoder(image))
        if self.shrinkage is not None:
            places = self.matricization.locate(features) if places is None else places
            features = self._shrink(features, places, self.shrinkage)
        return self.decoder(features)  # type: ignore[no-any-return]

    @torch.no_grad()
    def locate(self, image: Tensor) -> Tensor | None:
        """Where the matrices of an image lie, which other steps may share; None where that is the same for all images.

        It is None also where nothing is shrunk.
        """
        return None if self.shrinkage is None else self.matricization.locate(at_least_single(self.encoder(image)))

    def remove_shrinkage(self) -> None:
        """Leave singular values as they are from now on: to ablate what low rank brings."""
        self.shrinkage = None
        self.threshold_logit.requires_grad_(False)  # without a gradient it would stall multi-device training

    def _shrink(self, features: Tensor, places: Tensor | None, shrinkage: RelativeThreshold) -> Tensor:
        unit = self.matricization.rms_norm(features, places)

        def shrink(matrices: Tensor) -> Tensor:
            common = matrices.mean(-2, keepdim=True) if self.matricization.centred else 0
            shrunk: Tensor = shrinkage(matrices - common, self.threshold_logit.sigmoid(), unit)
            return shrunk + common

        return self.matricization.map(shrink, features, places)

    @property
    def threshold_unit(self) -> str:
        """Name of what the threshold is a fraction of."""
        return self.matricization.threshold_unit

    def extra_repr(self) -> str:
        """The setting that is not a submodule, for ``print``."""
        return f"matricization={self.matricization}"


def trained_low_rank_steps(network: nn.Module) -> list[LowRankProx]:
    """The low-rank steps of a network whose thresholds it learns; not those of a method without training."""
    steps = [module for module in network.modules() if isinstance(module, LowRankProx)]
    return [step for step in steps if step.threshold_logit.requires_grad]


def remove_shrinkage(network: nn.Module) -> None:
    """Replace every shrinkage that a network learns by the identity, for good.

    Raises:
        UsageError: if there is none.
    """
    steps = trained_low_rank_steps(network)
    if not steps:
        raise UsageError(f"{type(network).__name__} learns no low-rank step that --model.shrinkage could leave out")
    for step in steps:
        step.remove_shrinkage()
