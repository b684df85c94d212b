"""The measurements that a network was trained for, and a warning when it is used for others."""

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from lowrank_unroll.operators import LinearOperator, Mask, cartesian_parts, trajectory_parts

SLACK = 1.4  # of the share of measured values, which varies from mask to mask, as masks are random
# Neighbours in a mask drawn value by value are hardly correlated; in one of blocks or lines nearly all are alike.
CORRELATED = 0.5


class BeyondTrainingWarning(UserWarning):
    """A trained network is used for measurements of a kind that its training did not have."""


@dataclass(frozen=True)
class TrainedFor:
    """The measurements that a network was trained for; None stands for unknown.

    Args:
        sampled: the smallest and largest share of values that were measured, of colours or of k-space.
        coils: the smallest and largest number of coils; a network for k-space then.
        frames_differ: whether each frame had a mask of its own.
        channels_differ: whether each channel had a mask of its own, and never one that all channels share.
        at_random: whether values were measured one by one at random, not in blocks or lines.
        trajectories: whether k-space along trajectories, such as radial spokes, was measured, too, and not only k-space
            on a Cartesian grid.

    Raises:
        ValueError: if a range is not of two positive numbers, the smaller one first.
    """

    sampled: tuple[float, float] | None = None
    coils: tuple[int, int] | None = None
    frames_differ: bool | None = None
    channels_differ: bool | None = None
    at_random: bool | None = None
    trajectories: bool | None = None

    def __post_init__(self) -> None:
        for name in ("sampled", "coils"):
            limits = getattr(self, name)
            if limits is not None and not (len(limits) == 2 and 0 < limits[0] <= limits[1]):  # noqa: PLR2004
                raise ValueError(f"{name} is {limits}, expected two positive numbers, the smaller one first")

    def facts(self) -> dict[str, Any]:
        """Return the known fields, as plain data."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def differences(self, operator: LinearOperator) -> Iterator[tuple[str, str]]:
        """Yield (expected, found), in words, for each respect in which an operator lies beyond training."""
        along, (mask, sensitivities) = trajectory_parts(operator), _mask_and_sensitivities(operator)
        if self.trajectories and along is not None:
            yield from self._differences_of_coils(along.sensitivities)
            return
        if mask is None:
            expected = "k-space on a Cartesian grid" if self.coils else "values that a mask selects"
            yield expected, f"the operator {type(operator).__name__}" if along is None else "k-space along a trajectory"
            return
        yield from self._differences_of_coils(sensitivities)
        if self.sampled is not None:
            shares = mask.float().flatten(1).mean(1)
            for share in (float(shares.min()), float(shares.max())):
                if not self.sampled[0] / SLACK <= share <= self.sampled[1] * SLACK:
                    yield f"a share of {_range(self.sampled)} of the values", f"{share:.3g}"
                    break
        if self.frames_differ and _same_along(mask, -3):
            yield "a mask of its own for each frame", "one mask for all frames"
        if self.channels_differ and _same_along(mask, -3):
            yield "a mask of its own for each channel", "one mask for all channels"
        if self.at_random and _correlation(mask) > CORRELATED:
            yield "values measured one by one at random", "blocks or lines of them"

    def _differences_of_coils(self, sensitivities: Tensor | None) -> Iterator[tuple[str, str]]:
        count = _number_of_coils(sensitivities)
        if self.coils is not None and not self.coils[0] <= count <= self.coils[1]:
            yield f"{_range(self.coils)} coils", str(count)


class UseWarning:
    """Warn when a network in evaluation mode is called with an operator beyond its training, once for each respect.

    It ends when other weights are loaded into the network, such as those of a training that continued.
    """

    def __init__(self, name: str, trained_for: TrainedFor) -> None:
        self.name = name
        self.trained_for = trained_for
        self.warned: set[str] = set()
        self.ended = False

    def watch(self, network: nn.Module) -> None:
        """Check the calls of a network from now on."""
        network.register_forward_pre_hook(self.before_call)
        network.register_load_state_dict_post_hook(self.end)  # type: ignore[no-untyped-call]

    def before_call(self, network: nn.Module, arguments: tuple[Any, ...]) -> None:
        """Warn of each new difference."""
        if self.ended or network.training or len(arguments) < 2:  # noqa: PLR2004
            return
        with torch.no_grad():
            for expected, found in self.trained_for.differences(cast("LinearOperator", arguments[1])):
                if expected not in self.warned:
                    self.warned.add(expected)
                    warnings.warn(
                        f"{self.name} was trained for {expected}, and is used for {found}: compare it with a method "
                        "without training, as --report.untrained does",
                        BeyondTrainingWarning,
                        stacklevel=2,
                    )

    def end(self, *_: object) -> None:
        """Stop, since the network has other weights."""
        self.ended = True


def _mask_and_sensitivities(operator: LinearOperator) -> tuple[Tensor | None, Tensor | None]:
    """Return the mask, None for an operator without one, and the coil sensitivities or None."""
    if isinstance(operator, Mask):
        return operator.mask, None
    parts = cartesian_parts(operator)
    return (None, None) if parts is None else (parts.mask, parts.sensitivities)


def _number_of_coils(sensitivities: Tensor | None) -> int:
    """Count the coils whose sensitivity is not zero everywhere."""
    if sensitivities is None:
        return 1
    return int(sensitivities.abs().amax((0, *range(2, sensitivities.ndim))).count_nonzero())


def _same_along(mask: Tensor, dim: int) -> bool:
    return bool((mask == mask.narrow(dim, 0, 1)).all())


def _correlation(mask: Tensor) -> float:
    """Return the larger correlation of neighbours in height or in width; 0 for a mask that is the same everywhere."""
    values = mask.float()
    deviations = values - values.mean()
    variance = deviations.square().mean()
    if variance == 0:
        return 0.0
    products = (
        (deviations.narrow(dim, 1, length) * deviations.narrow(dim, 0, length)).mean()
        for dim, length in ((dim, values.shape[dim] - 1) for dim in (-2, -1))
        if length
    )
    return float(max((product / variance for product in products), default=0.0))


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g}"
