"""The mean over samples of a per-sample measure."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lowrank_unroll.metrics.functional import is_defined


class SampleMean(Metric):
    """Average a function of (reconstruction, target) over all samples seen, on all devices.

    Each sample counts once, however samples are batched: this is the mean that papers report. Where a measure is
    undefined because the target is zero everywhere, the sample is left out. The sum is in double precision.

    Args:
        function: maps (batch, ...) reconstructions and targets to one value per sample, shape (batch,).
        higher_is_better: whether a checkpoint with a higher mean is the better one.
        label: name in tables and plots; without it, the name that the module gives the metric.
        unit: of the values, such as "dB"; "" if they have none.

    What is not given is what the function says in an attribute of this name, as those of this package do. A subclass
    may have class attributes of these names instead.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        higher_is_better: bool | None = None,
        label: str | None = None,
        unit: str | None = None,
    ) -> None:
        super().__init__()
        self.function = function
        self._given = {"higher_is_better": higher_is_better, "label": label, "unit": unit}
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """True if a higher mean is better, False if a lower one is, None if unknown."""
        return self._given_or_own("higher_is_better")  # type: ignore[no-any-return]

    @property
    def label(self) -> str:
        """Name in tables and plots; "" for the name that the module gives the metric."""
        return self._given_or_own("label") or ""

    @property
    def unit(self) -> str:
        """Unit of the values, "" if they have none."""
        return self._given_or_own("unit") or ""

    def _given_or_own(self, name: str) -> Any:
        given = self._given[name]
        return getattr(self.function, name, None) if given is None else given

    def update(self, reconstruction: Tensor, target: Tensor) -> None:
        """Add a batch."""
        values = self.function(reconstruction, target)
        values = values[is_defined(values, target)]
        self.total += values.sum(dtype=torch.float64)
        self.count += values.numel()

    def compute(self) -> Tensor:
        """Return the mean so far, a scalar in the unit of the function, in the default dtype."""
        return (self.total / self.count).to(torch.get_default_dtype())
