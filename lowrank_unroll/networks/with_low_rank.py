"""A low-rank step added to each iteration of another network."""

from typing import Any, Literal

from torch import Tensor, nn

from lowrank_unroll.networks.locally_low_rank_net import THRESHOLD_LOGIT
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.prox import Blocks, LowRankProx, Matricization, ShrinkageGradient, trained_low_rank_steps


class LowRankFirst(nn.Module):
    """An iteration that gets its image shrunk to low rank; the rest of the state as it is.

    Args:
        prox: the low-rank step.
        iteration: called as ``iteration(state, measurement, operator)``.
    """

    def __init__(self, prox: LowRankProx, iteration: nn.Module) -> None:
        super().__init__()
        self.prox = prox
        self.iteration = iteration

    def forward(self, state: Any, measurement: Tensor, operator: LinearOperator) -> Any:
        """Advance the state by one iteration."""
        return self.iteration(state._replace(image=self.prox(state.image)), measurement, operator)


class WithLowRank(nn.Module):
    """Another network with a low-rank step before each of its iterations, to see what low rank brings to it.

    Each step learns its threshold; the iterations of a network that shares its weights share the step, too. After
    ``prox.remove_shrinkage``, or with ``--model.shrinkage false``, it computes what the network alone does.

    Args:
        network: unrolled, and without low-rank steps that are learned. Its iterations are replaced.
        matricization: the low-rank matrices, see :class:`LowRankProx`.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.

    Raises:
        TypeError: if ``network`` is not an :class:`UnrolledNetwork`.
        ValueError: if it learns low-rank steps already, or ``matricization`` or ``gradient`` is unknown.
    """

    def __init__(
        self,
        network: nn.Module,
        matricization: Literal["image", "casorati"] | Matricization = Blocks(),  # noqa: B008  immutable
        gradient: ShrinkageGradient = "exact",
    ) -> None:
        super().__init__()
        kind = type(network).__name__
        if not isinstance(network, UnrolledNetwork):
            raise TypeError(f"network is {kind}, expected an UnrolledNetwork, whose iterations get a low-rank step")
        if trained_low_rank_steps(network):
            raise ValueError(f"network is {kind}, expected one that does not learn low-rank steps already")
        for index, iteration in enumerate(network.iterations):
            prox = LowRankProx(matricization=matricization, gradient=gradient, threshold_logit=THRESHOLD_LOGIT)
            network.iterations[index] = LowRankFirst(prox, iteration)
        self.network = network
        self.image_axes = network.image_axes

    def compile(self) -> None:
        """Compile what the network compiles."""
        self.network.compile()

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct as the network does."""
        image: Tensor = self.network(measurement, operator)
        return image
