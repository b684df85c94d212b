"""The mean over samples of a per-sample measure."""

from collections.abc import Callable

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
        higher_is_better: whether a checkpoint with a higher mean is the better one; None for what the function says in
            an attribute of this name, as those of this package do, and otherwise unknown.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], higher_is_better: bool | None = None) -> None:
        super().__init__()
        self.function = function
        own = getattr(function, "higher_is_better", None)
        self._higher_is_better: bool | None = own if higher_is_better is None else higher_is_better
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """True if a higher mean is better, False if a lower one is, None if unknown."""
        return self._higher_is_better

    def update(self, reconstruction: Tensor, target: Tensor) -> None:
        """Add a batch."""
        values = self.function(reconstruction, target)
        values = values[is_defined(values, target)]
        self.total += values.sum(dtype=torch.float64)
        self.count += values.numel()

    def compute(self) -> Tensor:
        """Return the mean so far, a scalar in the unit of the function, in the default dtype."""
        return (self.total / self.count).to(torch.get_default_dtype())
