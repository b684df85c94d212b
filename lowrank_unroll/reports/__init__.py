"""Results of tests and trainings: as data, as tables, as plots and as a page.

What needs PyTorch is imported when it is asked for: ``compare`` does without, and starts seconds earlier.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.reports.comparison import Difference, difference_of, methods, objections
from lowrank_unroll.reports.evaluation import METRICS_FILE, Evaluation, MetricValues, SampleResult, read_evaluation
from lowrank_unroll.reports.figures import distributions
from lowrank_unroll.reports.formats import difference_and_interval, mean_and_spread, number
from lowrank_unroll.reports.gradient_record import GRADIENT_FILE, GradientDistanceRow, read_gradient_distances
from lowrank_unroll.reports.headings import Heading
from lowrank_unroll.reports.reproduction import called_program, command_to_repeat
from lowrank_unroll.reports.tables import comparison_table, evaluation_table

if TYPE_CHECKING:
    from lowrank_unroll.reports.contents import page_of_test
    from lowrank_unroll.reports.measurement import TimedImages, evaluation_of, method_names, sample_results
    from lowrank_unroll.reports.page import Page, PlayedSeries

__all__ = [
    "GRADIENT_FILE",
    "METRICS_FILE",
    "Difference",
    "Evaluation",
    "GradientDistanceRow",
    "Heading",
    "MetricValues",
    "Page",
    "PlayedSeries",
    "SampleResult",
    "TimedImages",
    "called_program",
    "command_to_repeat",
    "comparison_table",
    "difference_and_interval",
    "difference_of",
    "distributions",
    "evaluation_of",
    "evaluation_table",
    "mean_and_spread",
    "method_names",
    "methods",
    "number",
    "objections",
    "page_of_test",
    "read_evaluation",
    "read_gradient_distances",
    "sample_results",
]

NEED_PYTORCH = {
    "page_of_test": "contents",
    **dict.fromkeys(("TimedImages", "evaluation_of", "method_names", "sample_results"), "measurement"),
    **dict.fromkeys(("Page", "PlayedSeries"), "page"),
}
_moved_name = moved_names(
    __name__,
    {
        "Cine": f"{__name__}:PlayedSeries",
        "Values": f"{__name__}:MetricValues",
        "table": f"{__name__}:comparison_table",
    },
    stacklevel=3,
)


def __getattr__(name: str) -> Any:
    if name in NEED_PYTORCH:
        return getattr(import_module(f"{__name__}.{NEED_PYTORCH[name]}"), name)
    return _moved_name(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *NEED_PYTORCH})
