"""The unrolling loop: a network is an iterative algorithm whose iterations have learned parameters of their own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice, repeat, takewhile
from math import ceil, sqrt
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import UsageError
from lowrank_unroll.networks.layers.convolutions import Convolutions
from lowrank_unroll.operators import LinearOperator, check_tensor


class HasImage(Protocol):
    """The state of an iterative algorithm, a NamedTuple with the image so far and anything else."""

    @property
    def image(self) -> Tensor:
        """The reconstruction so far."""


State = TypeVar("State", bound=HasImage)
Advance = Callable[..., tuple[Any, Tensor | float]]


class UnrolledNetwork(nn.Module, ABC, Generic[State]):
    """Run the iterations in order, each mapping (state, measurement, operator) to the next state.

    A new network is a subclass that passes its iterations here and defines their :meth:`initial_state`. The iterations
    get a cheaper measurement z and operator B with B^H B = A^H A and B^H z = A^H y, see
    :meth:`~lowrank_unroll.operators.LinearOperator.without_shifts`; z need not be k-space.

    Args:
        iterations: modules, each called as ``iteration(state, measurement, operator)``.
        checkpoint_iterations: keep about sqrt(2 N) of the states of N iterations for the backward pass, and compute the
            rest again, segment by segment, and in each one iteration by iteration (Chen et al., arXiv 1604.06174).
            Memory then hardly grows with the number of iterations; a step takes up to two more forward passes.
        start: a network, called as ``start(measurement, operator)``, from whose image the iterations start; None for
            A^H y. Its parameters are trained, too.
        repetitions: number of times that all iterations run, one after the other, with the same weights.

    Attributes:
        image_axes: names of the dims of an image, without the batch; None for images of any kind.
        image_is_complex: True for complex images, False for real ones, both in the precision of the weights; None for
            any dtype.
        image_channels: number of channels of an image, its second dim; None for any number.
        works_in_parts: True if a large image takes only the memory of a few copies of it.
        reach: number of pixels, along each axis, beyond which a value of the measurement changes nothing; None if there
            is no such number, as for singular values of whole images, or it is not known.

    Raises:
        ValueError: if there is no iteration.
        TypeError: if ``start`` is no module.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = None
    image_is_complex: ClassVar[bool | None] = None
    works_in_parts: ClassVar[bool] = False
    start: nn.Module | None
    image_channels: int | None = None
    reach: int | None = None
    _penalties: list[Tensor | float] | None = None  # inside `collected_penalties`, the list to which calls add theirs

    def __init__(
        self,
        iterations: Iterable[nn.Module],
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
        repetitions: int = 1,
    ) -> None:
        super().__init__()
        self.iterations = nn.ModuleList(iterations)
        self.repetitions = repetitions
        check_at_least(1, iterations=len(self.iterations) * repetitions)
        self.checkpoint_iterations = checkpoint_iterations
        self.register_module("start", start)  # raises a TypeError for anything but a module

    def compile(self) -> None:
        """Compile the stacks of convolutions for training, and nothing else.

        The compiler generates no code for complex numbers, and the exact gradient of the shrinkage, with its forward
        mode, breaks graphs: whole iterations take longer to compile, and gain less, than their convolutions alone. On
        one CPU core a training step of TLR-Net takes the same time compiled, see docs/scaling.md. Stacks for series may
        be slower on a CPU, and are compiled on other devices only. Names of weights stay as they are.
        """
        for module in self.modules():
            if isinstance(module, Convolutions):
                module.compiled = True

    def check_image(self, image: Tensor) -> None:
        """Refuse an adjoint reconstruction A^H y that the network does not take.

        Raises:
            ValueError: if it is of another shape.
            TypeError: if it is of another dtype.
        """
        axes = None if self.image_axes is None else ("batch", *self.image_axes)
        if axes is not None and image.ndim != len(axes):
            raise ValueError(f"the image is {tuple(image.shape)}, expected ({', '.join(axes)})")
        if self.image_channels is not None and image.shape[1] != self.image_channels:
            expected = f"{self.image_channels} channels in its second dim"
            raise ValueError(f"the image is {tuple(image.shape)}, expected {expected}")
        if self.image_is_complex is None:
            return
        precision = next((weight.dtype for weight in self.parameters()), image.real.dtype)
        if image.is_complex() != self.image_is_complex or image.real.dtype != precision:
            name, kind = type(self).__name__, "complex" if self.image_is_complex else "real"
            raise TypeError(f"the image is {image.dtype}, expected {kind} numbers in {precision}, for {name}")

    def _check_measurement(self, measurement: Tensor) -> None:
        """Refuse a measurement that `check_image` cannot: the operator may fail, and turns real k-space complex."""
        check_tensor(measurement=measurement)
        if measurement.numel() == 0:
            raise ValueError(f"the measurement is {tuple(measurement.shape)}, expected at least one value")
        if self.image_is_complex and not measurement.is_complex():
            raise TypeError(f"the measurement is {measurement.dtype}, expected complex numbers, as the image has")

    @abstractmethod
    def initial_state(self, image: Tensor) -> State:
        """Return the state to start from, given the first image: A^H y, or that of ``start``."""

    def begin(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> State:
        """Return the state to start from; override it if that depends on the measurement, such as on its noise.

        Measurement and operator are those that the network was given. By default this is :meth:`initial_state`, which
        suffices for most networks.
        """
        return self.initial_state(image)

    def states(self, measurement: Tensor, operator: LinearOperator) -> Iterator[State]:
        """Yield all states, from the initial one to the last: one more than there are iterations."""
        state, measurement, operator = self._start(measurement, operator)
        yield state
        yield from _walk(self._in_order(), state, measurement, operator)

    def penalty(self, state: State) -> Tensor | float:
        """Return the term that a state adds to the training loss, dimensionless; 0 unless a network overrides it."""
        return 0.0

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct the image of the last state.

        Args:
            measurement: y = A x, the operator's output shape.
            operator: A.

        Returns:
            The reconstruction, shape of A^H y.

        Raises:
            ValueError: if y is empty, or A^H y of a shape that the network does not take.
            TypeError: if y or A^H y is of a dtype that the network does not take.
        """
        return self.forward_with_penalty(measurement, operator)[0]

    def forward_with_penalty(self, measurement: Tensor, operator: LinearOperator) -> tuple[Tensor, Tensor | float]:
        """Return the image of the last state, and the sum of the penalties of all states."""
        state, measurement, operator = self._start(measurement, operator)
        advance = partial(self._advance, measurement, operator)
        if self.checkpoint_iterations and torch.is_grad_enabled():
            one_by_one = partial(_in_segments, advance, lengths=repeat(1))
            advance = partial(_in_segments, one_by_one, lengths=decreasing_lengths(len(self._in_order())))
        state, penalty = advance(self._in_order(), state, self.penalty(state))
        _check_state(state, self)
        if self._penalties is not None:
            self._penalties.append(penalty)
        return state.image, penalty

    def _in_order(self) -> list[nn.Module]:
        return list(self.iterations) * self.repetitions

    def _start(self, measurement: Tensor, operator: LinearOperator) -> tuple[State, Tensor, LinearOperator]:
        """Return the initial state, and an equivalent measurement and operator, which are cheaper to iterate."""
        self._check_measurement(measurement)
        image = operator.adjoint(measurement) if self.start is None else self.start(measurement, operator)
        self.check_image(image)
        state = self.begin(image, measurement, operator)
        _check_state(state, self)
        measurement, operator = operator.without_shifts(measurement)
        return state, measurement, operator

    def _advance(
        self,
        measurement: Tensor,
        operator: LinearOperator,
        iterations: Iterable[nn.Module],
        state: State,
        penalty: Tensor | float,
    ) -> tuple[State, Tensor | float]:
        for after in _walk(iterations, state, measurement, operator):
            state, penalty = after, penalty + self.penalty(after)
        return state, penalty


def _check_state(state: object, network: nn.Module) -> None:
    """Refuse a state of a user's network that has no field `image`."""
    if not hasattr(state, "image"):
        fields = ", ".join(getattr(state, "_fields", ())) or "no fields"
        raise UsageError(
            f"a state of {type(network).__name__} is {type(state).__name__} ({fields}), expected a NamedTuple with a "
            "field `image`, the reconstruction so far"
        )


@contextmanager
def collected_penalties(network: nn.Module) -> Iterator[list[Tensor | float]]:
    """Collect the penalties of all unrolled networks in a module, a start included.

    Yields:
        A list to which each call of such a network in the block adds the sum of its penalties.
    """
    unrolled = [module for module in network.modules() if isinstance(module, UnrolledNetwork)]
    penalties: list[Tensor | float] = []
    for module in unrolled:
        module._penalties = penalties  # noqa: SLF001  a class of this file
    try:
        yield penalties
    finally:
        for module in unrolled:
            module._penalties = None  # noqa: SLF001


def _walk(
    iterations: Iterable[nn.Module], state: State, measurement: Tensor, operator: LinearOperator
) -> Iterator[State]:
    """Yield the state after each iteration."""
    for iteration in iterations:
        state = iteration(state, measurement, operator)
        yield state


def decreasing_lengths(total: int) -> range:
    """Return lengths n, n - 1, n - 2, ... of segments of ``total`` iterations or more together, with the smallest n.

    The backward pass runs through the segments from the last to the first, and frees the state that each starts from.
    The number of states kept and the length of the current segment then always add up to n + 1, about sqrt(2 total).
    """
    longest = ceil((sqrt(8 * total + 1) - 1) / 2)
    return range(longest, 0, -1)


def _in_segments(
    advance: Advance, iterations: Iterable[nn.Module], state: Any, penalty: Tensor | float, lengths: Iterable[int]
) -> tuple[Any, Tensor | float]:
    """Advance segment by segment, and keep only the first state of each for the backward pass."""
    state_of = state._make

    def advance_segment(segment: list[nn.Module], penalty: Tensor | float, *fields: Any) -> Any:
        after, penalty = advance(segment, state_of(fields), penalty)
        return (penalty, *after)

    rest = iter(iterations)
    segments = (list(islice(rest, length)) for length in lengths)
    for segment in takewhile(bool, segments):
        # A nested checkpoint frees its arguments only if they are tensors, so the fields are passed one by one.
        # No iteration draws random numbers, so their state need not be restored.
        penalty, *fields = checkpoint(
            advance_segment, segment, penalty, *state, use_reentrant=False, preserve_rng_state=False
        )
        state = state_of(fields)
    return state, penalty
