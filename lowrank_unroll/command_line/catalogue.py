"""The command ``lowrank-unroll list``: what there is to choose from, with a line of each."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from torch import nn

import datamodules
from lowrank_unroll import callbacks, metrics, networks, sampling, weights
from lowrank_unroll.command_line.class_schemas import classes_of, first_line
from lowrank_unroll.command_line.configs import config_folder, config_names
from lowrank_unroll.command_line.words import WordsParser, nearest
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sampling import SamplingPattern

END_OF_SENTENCE = re.compile(r"(?<=\.)\s")
ROLE = re.compile(r":\w+:`~?([^`]*)`")  # a reference of the documentation


def catalogue(words: Sequence[str]) -> None:
    """Print what there is, all of it or of the kinds that are named.

    Args:
        words: the arguments of the command.

    Raises:
        UsageError: if there is no such kind.
    """
    parser = WordsParser(
        prog="lowrank-unroll list", description="List what there is to choose from, with a line of each."
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all unless given")
    kinds = parser.parse_args(words).kinds
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"there is no list of {kind!r}{nearest(kind, KINDS) or '; expected ' + ', '.join(KINDS)}")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for kind in kinds or KINDS:
        title, entries = KINDS[kind]
        found = entries()
        longest = max(map(len, found))
        console.print(f"{kind}: {title}", style="bold")
        for name, line in found.items():
            console.print(f"  {name:<{longest}}  {line}")
        console.print()


def configs() -> dict[str, str]:
    """The configs of the collection, and the first sentence of each."""
    return {name: _comment(config_folder() / name) for name in config_names()}


def trainable() -> dict[str, str]:
    """The networks that learn."""
    return _described(one for one in _networks() if _parameters(one))


def untrained() -> dict[str, str]:
    """The networks that do not."""
    return _described(one for one in _networks() if not _parameters(one))


def data() -> dict[str, str]:
    """The DataModules."""
    kinds = classes_of(datamodules)
    return _described(one for one in kinds if issubclass(one, datamodules.ReconstructionDataModule))


def patterns() -> dict[str, str]:
    """The sampling patterns."""
    return _described(one for one in classes_of(sampling) if issubclass(one, SamplingPattern))


def trained_weights() -> dict[str, str]:
    """The weights in the box, and what the title of the card says of each."""
    cards = {name: Path(weights.__file__).with_name(f"{name}.md") for name in weights.shipped()}
    return {name: card.read_text().splitlines()[0].partition(": ")[2] for name, card in cards.items()}


def measures() -> dict[str, str]:
    """The measures of quality."""
    names = ("psnr", "ser", "ssim", "frame_ssim", "mse", "nmse", "hfen")
    return {name: first_line(getattr(metrics, name)) for name in names}


def run_callbacks() -> dict[str, str]:
    """The callbacks."""
    return _described(classes_of(callbacks))


KINDS: Mapping[str, tuple[str, Callable[[], dict[str, str]]]] = {
    "configs": ("--config NAME; several may follow each other", configs),
    "networks": ("--model.network NAME, to be trained", trainable),
    "untrained": ("--model.network NAME, nothing to train; --report.untrained '[NAME]' compares with them", untrained),
    "weights": ("--model.weights NAME, and lowrank_unroll.weights.load_network", trained_weights),
    "data": ("--data NAME", data),
    "patterns": ("--data.pattern NAME, of dynamic MRI", patterns),
    "metrics": ("lowrank_unroll.metrics", measures),
    "callbacks": ("--trainer.callbacks+=NAME, unless a run has it anyway", run_callbacks),
}


def _networks() -> list[type[nn.Module]]:
    return [one for one in classes_of(networks) if issubclass(one, nn.Module)]


def _parameters(network: type[nn.Module]) -> bool:
    """Whether there is something to train in a network built with its defaults."""
    return any(parameter.requires_grad for parameter in network().parameters())


def _described(kinds: Iterable[type]) -> dict[str, str]:
    return {kind.__name__: ROLE.sub(r"\1", first_line(kind)) for kind in kinds}


def _comment(config: Path) -> str:
    """The first sentence of the comment at the top of a config."""
    comment = takewhile(lambda line: line.startswith("#"), config.read_text().splitlines())
    return END_OF_SENTENCE.split(" ".join(line.removeprefix("#").strip() for line in comment))[0]
