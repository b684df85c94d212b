"""The unrolling loop: a network is an iterative algorithm whose iterations have learned parameters of their own."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

from lowrank_unroll.networks.convolutions import Convolutions
from lowrank_unroll.operators import LinearOperator


class HasImage(Protocol):
    """The state of an iterative algorithm: whatever it carries, and the image so far."""

    @property
    def image(self) -> Tensor:
        """The reconstruction so far."""


State = TypeVar("State", bound=HasImage)


class UnrolledNetwork(nn.Module, ABC, Generic[State]):
    """Run the iterations in order, each mapping (state, measurement, operator) to the next state.

    A new network is a subclass that passes its iterations here and says what state they start from.

    Args:
        iterations: modules, each called as ``iteration(state, measurement, operator)``.
    """

    def __init__(self, iterations: Iterable[nn.Module]) -> None:
        super().__init__()
        self.iterations = nn.ModuleList(iterations)

    def compile(self) -> None:
        """Compile the stacks of convolutions in training, and nothing between them.

        The compiler has no code for complex numbers, and the exact gradient of the shrinkage, which defines a forward
        mode, breaks its graphs: whole iterations take longer to compile and gain less than their convolutions alone.
        On one CPU core a training step of TLR-Net was 1.4 times as fast with its convolutions compiled, 1.2 times with
        the whole network. Stacks for series gain nothing there, and are compiled on other devices only. Names of
        weights stay as they are.
        """
        for module in self.modules():
            if isinstance(module, Convolutions):
                module.compiled = True

    @abstractmethod
    def initial_state(self, image: Tensor) -> State:
        """The state to start from, given the adjoint reconstruction A^H y."""

    def states(self, measurement: Tensor, operator: LinearOperator) -> Iterator[State]:
        """Walk the states, from the initial one to the last: one more than there are iterations."""
        state = self.initial_state(operator.adjoint(measurement))
        yield state
        for iteration in self.iterations:
            state = iteration(state, measurement, operator)
            yield state

    def penalty(self, state: State) -> Tensor | float:
        """What a state adds to the training loss, a number without unit; nothing unless a network says so."""
        return 0.0

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct the image of the last state.

        Args:
            measurement: y = A x, the operator's output shape.
            operator: A.

        Returns:
            The reconstruction, shape of A^H y.
        """
        for state in self.states(measurement, operator):  # noqa: B007
            pass
        return state.image

    def forward_with_penalty(self, measurement: Tensor, operator: LinearOperator) -> tuple[Tensor, Tensor | float]:
        """Reconstruct the image of the last state, and add up the penalties of all states."""
        penalty: Tensor | float = 0.0
        for state in self.states(measurement, operator):
            penalty = penalty + self.penalty(state)
        return state.image, penalty
