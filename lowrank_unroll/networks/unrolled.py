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
    """The state of an iterative algorithm: whatever it carries, and the image so far."""

    @property
    def image(self) -> Tensor:
        """The reconstruction so far."""


State = TypeVar("State", bound=HasImage)
Advance = Callable[..., tuple[Any, Tensor | float]]


class UnrolledNetwork(nn.Module, ABC, Generic[State]):
    """Run the iterations in order, each mapping (state, measurement, operator) to the next state.

    A new network is a subclass that passes its iterations here and says what state they start from.

    Args:
        iterations: modules, each called as ``iteration(state, measurement, operator)``.
        checkpoint_iterations: keep only a few states for the backward pass, about sqrt(2 N) for N iterations, and
            compute the rest again: segment by segment, and in each one iteration by iteration (after Chen et al., arXiv
            1604.06174). Memory then hardly grows with the number of iterations; a step takes up to two more forward
            passes.
        start: a network, called as ``start(measurement, operator)``, from whose image the iterations start; None for
            A^H y. What it has to train is trained along.

    Attributes:
        image_axes: what the dims of an image are, without the batch; None for a network that takes images of any kind.
        image_is_complex: whether images are complex, or real, with the precision of the weights; None for any dtype.
        image_channels: how many an image has, in its second dim; None for a network that takes any number.
        works_in_parts: whether a large image needs little more memory than for a few copies of it.

    Raises:
        ValueError: if there is no iteration.
        TypeError: if ``start`` is no module.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = None
    image_is_complex: ClassVar[bool | None] = None
    works_in_parts: ClassVar[bool] = False
    start: nn.Module | None
    image_channels: int | None = None
    _penalties: list[Tensor | float] | None = None  # where calls add theirs, while somebody collects them

    def __init__(
        self, iterations: Iterable[nn.Module], checkpoint_iterations: bool = False, start: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.iterations = nn.ModuleList(iterations)
        check_at_least(1, iterations=len(self.iterations))
        self.checkpoint_iterations = checkpoint_iterations
        self.register_module("start", start)  # refuses what is none

    def compile(self) -> None:
        """Compile the stacks of convolutions in training, and nothing between them.

        The compiler has no code for complex numbers, and the exact gradient of the shrinkage, which defines a forward
        mode, breaks its graphs: whole iterations take longer to compile and gain less than their convolutions alone.
        On one CPU core a training step of TLR-Net takes the same time compiled, see docs/scaling.md; stacks for series
        may take longer there, and are compiled on other devices only. Names of weights stay as they are.
        """
        for module in self.modules():
            if isinstance(module, Convolutions):
                module.compiled = True

    def check_image(self, image: Tensor) -> None:
        """Refuse an adjoint reconstruction A^H y that the network is not for.

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
        """Refuse what the image would not tell, for an operator may fail, and the image of real k-space is complex."""
        check_tensor(measurement=measurement)
        if measurement.numel() == 0:
            raise ValueError(f"the measurement is {tuple(measurement.shape)}, expected at least one value")
        if self.image_is_complex and not measurement.is_complex():
            raise TypeError(f"the measurement is {measurement.dtype}, expected complex numbers, as the image has")

    @abstractmethod
    def initial_state(self, image: Tensor) -> State:
        """The state to start from, given the first image: A^H y, or what ``start`` makes of y."""

    def begin(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> State:
        """Return the state to start from, for a network that needs the measurement y and its operator A for it.

        By default this is the :meth:`initial_state` of the image.
        """
        return self.initial_state(image)

    def states(self, measurement: Tensor, operator: LinearOperator) -> Iterator[State]:
        """Walk the states, from the initial one to the last: one more than there are iterations."""
        state, measurement, operator = self._start(measurement, operator)
        yield state
        yield from _walk(self.iterations, state, measurement, operator)

    def penalty(self, state: State) -> Tensor | float:
        """Return the term that a state adds to the training loss, without unit; 0 unless a network overrides it."""
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
            TypeError: if y or A^H y is of a dtype that it does not take.
        """
        return self.forward_with_penalty(measurement, operator)[0]

    def forward_with_penalty(self, measurement: Tensor, operator: LinearOperator) -> tuple[Tensor, Tensor | float]:
        """Reconstruct the image of the last state, and add up the penalties of all states."""
        state, measurement, operator = self._start(measurement, operator)
        advance = partial(self._advance, measurement, operator)
        if self.checkpoint_iterations and torch.is_grad_enabled():
            one_by_one = partial(_in_segments, advance, lengths=repeat(1))
            advance = partial(_in_segments, one_by_one, lengths=decreasing_lengths(len(self.iterations)))
        state, penalty = advance(self.iterations, state, self.penalty(state))
        _check_state(state, self)
        if self._penalties is not None:
            self._penalties.append(penalty)
        return state.image, penalty

    def _start(self, measurement: Tensor, operator: LinearOperator) -> tuple[State, Tensor, LinearOperator]:
        """The initial state, and the equation measurement = operator(image) in the form that is fastest to iterate."""
        self._check_measurement(measurement)
        image = operator.adjoint(measurement) if self.start is None else self.start(measurement, operator)
        self.check_image(image)
        measurement, operator = operator.equivalent(measurement)
        state = self.begin(image, measurement, operator)
        _check_state(state, self)
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
    """Refuse a state of somebody's own that does not say which of its fields is the image."""
    if not hasattr(state, "image"):
        fields = ", ".join(getattr(state, "_fields", ())) or "no fields"
        raise UsageError(
            f"a state of {type(network).__name__} is {type(state).__name__} ({fields}), expected a NamedTuple with a "
            "field `image`, the reconstruction so far"
        )


@contextmanager
def collected_penalties(network: nn.Module) -> Iterator[list[Tensor | float]]:
    """Collect the penalties of all unrolled networks in a module, such as one that another starts from.

    Yields:
        A list to which each call of such a network in the block adds the sum of its penalties.
    """
    unrolled = [module for module in network.modules() if isinstance(module, UnrolledNetwork)]
    penalties: list[Tensor | float] = []
    for module in unrolled:
        module._penalties = penalties  # noqa: SLF001  of this file
    try:
        yield penalties
    finally:
        for module in unrolled:
            module._penalties = None  # noqa: SLF001


def _walk(
    iterations: Iterable[nn.Module], state: State, measurement: Tensor, operator: LinearOperator
) -> Iterator[State]:
    """The states after each iteration, from a given one."""
    for iteration in iterations:
        state = iteration(state, measurement, operator)
        yield state


def decreasing_lengths(total: int) -> range:
    """Lengths n, n - 1, n - 2, ... of segments of at least so many iterations, with the smallest n.

    Backward, the last segments come first, when the starts of all are still kept: the number of these and the length of
    the segment in work then always add up to n + 1, which is about the root of 2 ``total``.
    """
    longest = ceil((sqrt(8 * total + 1) - 1) / 2)
    return range(longest, 0, -1)


def _in_segments(
    advance: Advance, iterations: Iterable[nn.Module], state: Any, penalty: Tensor | float, lengths: Iterable[int]
) -> tuple[Any, Tensor | float]:
    """Advance by some iterations at a time, and keep for the backward pass only what each segment starts from."""
    state_of = state._make

    def advance_segment(segment: list[nn.Module], penalty: Tensor | float, *fields: Any) -> Any:
        after, penalty = advance(segment, state_of(fields), penalty)
        return (penalty, *after)

    rest = iter(iterations)
    segments = (list(islice(rest, length)) for length in lengths)
    for segment in takewhile(bool, segments):
        # Inside another checkpoint one keeps everything it is given but tensors, so the state is given in parts.
        # No iteration draws random numbers, so none have to be drawn again.
        penalty, *fields = checkpoint(
            advance_segment, segment, penalty, *state, use_reentrant=False, preserve_rng_state=False
        )
        state = state_of(fields)
    return state, penalty
