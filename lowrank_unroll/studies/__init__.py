"""Studies: the same training and test for many methods, conditions and seeds, and one table of the results."""

from lowrank_unroll.studies.definition import Cell, Study, read_study
from lowrank_unroll.studies.figure import comparison_figure, speed_figure
from lowrank_unroll.studies.outcome import Outcome, outcomes
from lowrank_unroll.studies.running import check_words, claim_folder, is_done, run_cell
from lowrank_unroll.studies.table import Row, as_csv, as_markdown, heading_of, rows_of

__all__ = [
    "Cell",
    "Outcome",
    "Row",
    "Study",
    "as_csv",
    "as_markdown",
    "check_words",
    "claim_folder",
    "comparison_figure",
    "heading_of",
    "is_done",
    "outcomes",
    "read_study",
    "rows_of",
    "run_cell",
    "speed_figure",
]
