"""Results of a study so far, read from the folders of its cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lowrank_unroll.reports import GRADIENT_FILE, Evaluation, read_evaluation, read_gradient_distances
from lowrank_unroll.studies.definition import Cell, Study
from lowrank_unroll.studies.running import finished_test, has_diverged


@dataclass(frozen=True)
class Outcome:
    """Results of one method under one condition.

    Attributes:
        method: name of the method.
        condition: name of the condition.
        tests: finished tests, by seed.
        diverged: seeds whose gradient became infinite or NaN.
        gradient_distances: from the exact gradient, at the steps of all seeds that `GradientDistance` recorded.
    """

    method: str
    condition: str
    tests: dict[int, Evaluation]
    diverged: tuple[int, ...]
    gradient_distances: tuple[float, ...]


def outcomes(study: Study, folder: Path) -> Iterator[Outcome]:
    """Yield the outcomes of all methods under each condition, complete or not.

    Raises:
        DataError: if a file was not written by a test; names it.
    """
    cells = list(study.cells())
    for condition in study.conditions:
        for method in study.methods:
            own = [cell for cell in cells if (cell.method, cell.condition) == (method, condition)]
            files = {cell.seed: finished_test(folder, cell) for cell in own}
            yield Outcome(
                method,
                condition,
                tests={seed: read_evaluation(file) for seed, file in files.items() if file is not None},
                diverged=tuple(cell.seed for cell in own if has_diverged(folder, cell)),
                gradient_distances=tuple(distance for cell in own for distance in _gradient_distances(folder, cell)),
            )


def _gradient_distances(folder: Path, cell: Cell) -> list[float]:
    """Return the distances of a cell; of a training that was resumed, the last run has the rows of all runs."""
    tables = [read_gradient_distances(file) for file in (folder / cell.label).rglob(GRADIENT_FILE)]
    return [row.distance for row in max(tables, key=len, default=[])]
