"""The cases that `train_step.py` measures, and the problem of each as ours and the naive network solve it."""

from copy import deepcopy
from typing import Any, Literal, NamedTuple

import torch
from naive_networks import NaiveT2LRNet, NaiveTLRNet
from step_timing import Step
from torch import Tensor, nn

from lowrank_unroll.networks import T2LRNet, TLRNet
from lowrank_unroll.operators import LinearOperator, Mask, SampledFourier, coil_operator

NAMES = ("ours", "naive")
Precision = Literal["32-true", "bf16-mixed"]
RATIO = 0.4  # of the values that are sampled


class Case(NamedTuple):
    """A task, the size of an image without the batch, and the network: TLRNet for colour, T2LRNet for dynamic MRI.

    Precision, as Lightning names it, and compilation are those of our network. The naive one is in float32, eagerly.
    """

    task: str
    size: tuple[int, int, int]
    batch: int
    iterations: int
    coils: int = 1
    precision: Precision = "32-true"
    compiled: bool = False

    @property
    def title(self) -> str:
        """The network, as in tables."""
        return f"{network_of(self).__name__}, {self.iterations} iterations" + (", compiled" if self.compiled else "")

    @property
    def size_title(self) -> str:
        """The size, as in tables."""
        return " x ".join(map(str, self.size)) + (f", {self.coils} coils" if self.coils > 1 else "")


class Cases(NamedTuple):
    """The cases of the table and of the two plots."""

    named: list[Case]
    iterations: list[Case]
    sizes: list[Case]


FULL = Cases(
    named=[
        Case("colour", (3, 32, 32), 128, 10),
        Case("colour", (3, 32, 32), 128, 10, compiled=True),
        Case("colour", (3, 32, 32), 128, 10, precision="bf16-mixed"),
        Case("dynamic", (16, 128, 128), 1, 15),
        Case("dynamic", (16, 128, 128), 1, 15, precision="bf16-mixed"),
        Case("dynamic", (16, 128, 128), 1, 3, coils=8),
    ],
    iterations=[Case("colour", (3, 32, 32), 128, iterations) for iterations in (1, 2, 5, 10)],
    sizes=[Case("dynamic", (16, side, side), 1, 2) for side in (32, 64, 128)],
)
QUICK = Cases(
    named=[
        Case("colour", (3, 16, 16), 2, 2, compiled=True),
        Case("dynamic", (4, 24, 20), 1, 2, coils=2, precision="bf16-mixed"),
    ],
    iterations=[Case("colour", (3, 16, 16), 2, iterations) for iterations in (1, 2)],
    sizes=[Case("dynamic", (4, side, side), 1, 1) for side in (16, 24)],
)


class Bound(nn.Module):
    """A network with the arguments of one batch, called without any."""

    def __init__(self, network: nn.Module, *arguments: Any, precision: Precision = "32-true") -> None:
        super().__init__()
        self.network = network
        self.arguments = arguments
        self.precision = precision

    def forward(self) -> Tensor:
        """The reconstruction of the batch."""
        with torch.autocast(self.arguments[0].device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            return self.network(*self.arguments)  # type: ignore[no-any-return]


class Problem(NamedTuple):
    """A random target, and what reconstructs it with the same weights."""

    target: Tensor
    ours: Bound
    naive: Bound


def network_of(case: Case) -> type[TLRNet | T2LRNet]:
    """The network of the task."""
    return TLRNet if case.task == "colour" else T2LRNet


def problem_of(case: Case, device: str) -> Problem:
    """Draw a problem."""
    torch.manual_seed(0)
    network = network_of(case)(iterations=case.iterations).to(device)
    if case.compiled:
        network.compile()
    return _colour(case, network, device) if case.task == "colour" else _dynamic(case, network, device)


def steps_of(case: Case, device: str) -> dict[str, Step]:
    """A step of training by each implementation, each with weights and an optimiser of its own."""
    problem = problem_of(case, device)
    return {name: _step(deepcopy(getattr(problem, name)), problem.target) for name in NAMES}


def _step(reconstruct: Any, target: Tensor) -> Step:
    optimiser = torch.optim.Adam(reconstruct.parameters())

    def step() -> None:
        optimiser.zero_grad()
        (reconstruct() - target).abs().square().mean().backward()
        optimiser.step()

    return step


def _colour(case: Case, network: nn.Module, device: str) -> Problem:
    target = torch.rand(case.batch, *case.size, device=device)
    mask = torch.rand_like(target) < RATIO
    naive = Bound(NaiveTLRNet(network), target * mask, mask.cpu().numpy())
    return Problem(target, Bound(network, target * mask, Mask(mask), precision=case.precision), naive)


def _dynamic(case: Case, network: nn.Module, device: str) -> Problem:
    target = torch.randn(case.batch, *case.size, dtype=torch.complex64, device=device)
    target = target + 3 * target.mean(1, keepdim=True)
    mask = torch.rand(case.batch, 1, *case.size, device=device) < RATIO
    coils = None
    if case.coils > 1:
        coils = torch.randn(case.batch, case.coils, 1, *case.size[1:], dtype=torch.complex64, device=device)
        coils = coils / coils.abs().square().sum(1, keepdim=True).sqrt()
    operator: LinearOperator = SampledFourier(mask) @ coil_operator(coils)
    kspace = operator(target)
    naive = Bound(NaiveT2LRNet(network), kspace, mask.cpu().numpy(), coils)
    return Problem(target, Bound(network, kspace, operator, precision=case.precision), naive)
