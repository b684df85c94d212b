"""What a test found: as data, as a page, and side by side with others."""

from lowrank_unroll.reports.comparison import Difference, difference_of, methods, objections, table
from lowrank_unroll.reports.evaluation import Evaluation, SampleResult, Values, read_evaluation
from lowrank_unroll.reports.figures import distributions
from lowrank_unroll.reports.formats import heading, mean_and_spread, number
from lowrank_unroll.reports.gradient_record import GRADIENT_FILE, GradientDistanceRow, read_gradient_distances
from lowrank_unroll.reports.page import Cine, Page
from lowrank_unroll.reports.reproduction import called_program, command_to_repeat

__all__ = [
    "GRADIENT_FILE",
    "Cine",
    "Difference",
    "Evaluation",
    "GradientDistanceRow",
    "Page",
    "SampleResult",
    "Values",
    "called_program",
    "command_to_repeat",
    "difference_of",
    "distributions",
    "heading",
    "mean_and_spread",
    "methods",
    "number",
    "objections",
    "read_evaluation",
    "read_gradient_distances",
    "table",
]
