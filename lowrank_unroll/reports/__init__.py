"""What a test found: as data, as a page, and side by side with others."""

from lowrank_unroll.reports.compare import compare
from lowrank_unroll.reports.comparison import methods, objections
from lowrank_unroll.reports.evaluation import Evaluation, SampleResult, Values, read_evaluation
from lowrank_unroll.reports.formats import heading, mean_and_spread, number
from lowrank_unroll.reports.page import Cine, Page

__all__ = [
    "Cine",
    "Evaluation",
    "Page",
    "SampleResult",
    "Values",
    "compare",
    "heading",
    "mean_and_spread",
    "methods",
    "number",
    "objections",
    "read_evaluation",
]
