"""Progress bar whose numbers can be read whatever their size."""

from dataclasses import replace
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar


class MetricsProgressBar(RichProgressBar):
    """Lightning's progress bar, with metrics in four significant digits and without the version of the run.

    Three decimals, Lightning's default, show a loss of 1e-4 as 0.000.
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.theme = replace(self.theme, metrics_format=".4g")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return the metrics that are logged for the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
