"""Metrics as people read them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """The heading of a metric, made of what the metric says of itself, see :class:`lowrank_unroll.metrics.SampleMean`.

    Attributes:
        label: name of the metric.
        unit: of its values; "" if they have none.
        higher_is_better: whether higher values are better; None if unknown.

    >>> Heading("PSNR", "dB").text
    'PSNR, dB'
    """

    label: str
    unit: str = ""
    higher_is_better: bool | None = None

    @property
    def text(self) -> str:
        """The label, and the unit if there is one."""
        return f"{self.label}, {self.unit}" if self.unit else self.label
