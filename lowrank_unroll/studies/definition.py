"""Definition of a study: a YAML file of methods, conditions and seeds."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lowrank_unroll.errors import UsageError
from lowrank_unroll.names import folded
from lowrank_unroll.yaml_files import read_yaml

LONGEST_LABEL = 255  # bytes that file systems allow in the name of a folder
EVERYWHERE = "all"  # the name of the one condition of a study without conditions


class Cell(NamedTuple):
    """One training and test of a study.

    Attributes:
        method: name of the method, a row of the table.
        condition: name of the condition.
        seed: of the initial weights and of the training data.
        words: of the command line, for training and test.
    """

    method: str
    condition: str
    seed: int
    words: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name of the cell and of its folder."""
        return f"{self.method}, {self.condition}, seed {self.seed}".replace("/", "-")


@dataclass(frozen=True)
class Study:
    """Every method under every condition, with every seed.

    Attributes:
        name: of its file, without suffix.
        common: words of the command line for all cells.
        methods: further words of each method, by name.
        conditions: further words of each condition, by name.
        seeds: each is one training.
        metric: that is compared.
        reference: the method that the others are compared to.
    """

    name: str
    common: tuple[str, ...]
    methods: Mapping[str, tuple[str, ...]]
    conditions: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    metric: str
    reference: str

    def cells(self) -> Iterator[Cell]:
        """Yield all cells, seed by seed, so that a study that is stopped early has every method and condition."""
        for seed in self.seeds:
            for condition, more in self.conditions.items():
                for method, words in self.methods.items():
                    yield Cell(method, condition, seed, (*self.common, *more, *words))


def read_study(path: Path) -> Study:
    """Read the file of a study.

    Raises:
        UsageError: if the file cannot be read, is incomplete, or has two cells that would share a folder; names the
            file and what is expected.
    """
    content = read_yaml(path, str(path))
    if not isinstance(content, dict) or not isinstance(content.get("methods"), dict) or not content["methods"]:
        raise UsageError(f"{path}: expected `methods:`, with the words of each by its name")
    known = {"common", "methods", "conditions", "seeds", "metric", "reference"}
    if unknown := set(content) - known:
        raise UsageError(f"{path}: has {', '.join(sorted(map(str, unknown)))}, expected {', '.join(sorted(known))}")
    methods = _words_by_name(path, "methods", content["methods"])
    reference = str(content.get("reference", next(iter(methods))))
    if reference not in methods:
        raise UsageError(f"{path}: reference is {reference!r}, expected one of {', '.join(methods)}")
    study = Study(
        name=path.stem,
        common=_words(path, "common", content.get("common", "")),
        methods=methods,
        conditions=_words_by_name(path, "conditions", content.get("conditions") or {EVERYWHERE: ""}),
        seeds=_seeds(path, content.get("seeds", [0, 1, 2])),
        metric=str(content.get("metric", "psnr")),
        reference=reference,
    )
    _check_folders(path, study.cells())
    return study


def _check_folders(path: Path, cells: Iterable[Cell]) -> None:
    """Refuse cells whose folder cannot be made, or is that of another cell, whose results they would overwrite."""
    owners: dict[str, Cell] = {}
    for cell in cells:
        if not cell.label.isprintable() or len(cell.label.encode()) > LONGEST_LABEL:
            raise UsageError(f"{path}: {cell.label!r} can be no folder: give shorter names, of characters that print")
        owner = owners.setdefault(folded(cell.label), cell)
        if owner is not cell:
            both = " and ".join(f"{method!r} under {condition!r}" for method, condition, *_ in (owner, cell))
            raise UsageError(f"{path}: {both} would share the folder {cell.label!r}: rename a method or a condition")


def _words_by_name(path: Path, key: str, content: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, dict):
        raise UsageError(f"{path}: {key} is {content!r}, expected the words of each by its name")
    found = {str(name): _words(path, f"{key}, {name}", words) for name, words in content.items()}
    if len(found) < len(content):
        raise UsageError(f"{path}: {key} has a name twice among {', '.join(map(str, content))}: remove or rename one")
    return found


def _words(path: Path, key: str, content: Any) -> tuple[str, ...]:
    """Return words that are given as on the command line, or as a list."""
    if content is None:
        return ()
    if isinstance(content, list):
        return tuple(map(str, content))
    if not isinstance(content, str):
        raise UsageError(f"{path}: {key} is {content!r}, expected words of the command line such as --data.ratio 0.1")
    try:
        return tuple(shlex.split(content))
    except ValueError as error:
        raise UsageError(f"{path}: {key}: {error} in {content!r}") from error


def _seeds(path: Path, content: Any) -> tuple[int, ...]:
    whole = isinstance(content, list) and all(type(seed) is int and seed >= 0 for seed in content)
    if not whole or not content or len(set(content)) < len(content):
        raise UsageError(
            f"{path}: seeds is {content!r}, expected different whole numbers, 0 or more, such as [0, 1, 2]"
        )
    return tuple(content)
