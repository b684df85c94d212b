"""Trained networks for others: a folder with weights and a card, and a repository of it on a hub."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.files import write_whole
from lowrank_unroll.names import markdown_cell
from lowrank_unroll.weights import hub
from lowrank_unroll.weights.sources import (
    BUNDLED,
    TrainedNetwork,
    is_written_here,
    read_trained,
    shipped,
    write_trained,
)
from lowrank_unroll.weights.trained_for import TrainedFor


def export(
    source: str | Path, folder: str | Path, card: str | Path | None = None, trained_for: TrainedFor | None = None
) -> None:
    """Write a trained network into a folder, from which ``load_network(folder)`` reads it.

    Args:
        source: see :func:`lowrank_unroll.weights.read_trained`.
        folder: is created; weights and card that an earlier export wrote into it are replaced.
        card: a file in Markdown that says what it was trained on, how good it is and where it fails. None for the
            bundled card, or for a short one of what the source itself holds.
        trained_for: the measurements that it was trained for, kept in the file, so that users are warned beyond them;
            None for those that the source itself names.

    Raises:
        UsageError: if there is no such source, or the folder holds weights or a card of something else.
        DataError: if the source holds no weights, or the card is no text.
        OSError: if the card cannot be read, or the folder cannot be written.
    """
    trained = read_trained(source)
    if trained_for is not None:
        trained = trained._replace(trained_for=trained_for)
    text = _card_of(source, trained) if card is None else _card_in(Path(card))
    _check_folder(Path(folder))
    write_trained(Path(folder) / hub.WEIGHTS, trained)
    write_whole(Path(folder) / hub.CARD, text.encode())


def _check_folder(folder: Path) -> None:
    """Refuse to replace files that no export has written, such as the README of a project."""
    found = [name for name in (hub.WEIGHTS, hub.CARD) if (folder / name).exists()]
    if found and not is_written_here(folder / hub.WEIGHTS):
        raise UsageError(f"{folder}: has a {' and a '.join(found)} of something else: give a folder of its own")


def _card_in(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is no text in UTF-8, expected a card in Markdown") from error


def publish(
    source: str | Path, repository: str, card: str | Path | None = None, trained_for: TrainedFor | None = None
) -> str:
    """Upload a trained network to a repository OWNER/NAME of the Hugging Face Hub, and return its address.

    ``load_network("hub:OWNER/NAME")`` then loads it anywhere. Arguments as for :func:`export`; it takes the token that
    ``hf auth login`` stored.

    Raises:
        ModuleNotFoundError: if huggingface_hub is not installed.
        UsageError: if there is no such source, or the hub refuses it.
        DataError: if the source holds no weights.
    """
    with TemporaryDirectory() as folder:
        export(source, folder, card, trained_for)
        return hub.upload(Path(folder), repository)


def _card_of(source: str | Path, trained: TrainedNetwork) -> str:
    if str(source) in shipped():
        return (BUNDLED / f"{source}.md").read_text(encoding="utf-8")
    count = sum(weight.numel() for weight in trained.weights.values())
    lines = [f"A network of lowrank-unroll with {count:,} weights.", ""]
    lines += ["```python", "from lowrank_unroll.weights import load_network", "", 'network = load_network("hub:...")']
    lines += ["```", "", "```json", json.dumps(trained.network, indent=2), "```", ""]
    facts = trained.about | {"trained for": json.dumps(trained.trained_for.facts())}
    lines += [f"- {markdown_cell(str(name))}: {markdown_cell(str(value))}" for name, value in facts.items()]
    return "\n".join(["---", "library_name: lowrank-unroll", "---", "", *lines, ""])
