"""The command ``lowrank-unroll list``: names that configs and options take, with a line about each."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill

from rich.console import Console
from torch import nn

import datamodules
from lowrank_unroll import callbacks, metrics, networks, sampling, weights
from lowrank_unroll.command_line.class_schemas import classes_of, docstring_summary
from lowrank_unroll.command_line.command_parser import CommandParser, did_you_mean
from lowrank_unroll.command_line.configs import config_folder, config_names
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sampling import SamplingPattern, TrajectoryPattern

END_OF_SENTENCE = re.compile(r"(?<=\.)\s")
ROLE = re.compile(r":\w+:`~?([^`]*)`")  # a cross-reference in a docstring
NAME_WIDTH = 24  # characters; the line about a longer name starts below it
MAX_WIDTH = 100


def catalogue(argv: Sequence[str]) -> None:
    """Print all lists, or those of the given kinds.

    Args:
        argv: the arguments of the command.

    Raises:
        UsageError: if there is no such kind.
    """
    parser = CommandParser(
        prog="lowrank-unroll list", description="List the names that configs and options take, with a line about each."
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: all)")
    kinds = parser.parse_args(argv).kinds
    for kind in kinds:
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"; expected {', '.join(KINDS)}"
            raise UsageError(f"there is no list of {kind!r}{hint}")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for kind in kinds or KINDS:
        title, entries = KINDS[kind]
        console.print(f"{kind}: {title}", style="bold")
        for name, line in entries().items():
            console.print(_entry(name, line))
        console.print()


def configs() -> dict[str, str]:
    """Return the configs of the collection, with the first sentence of each."""
    return {name: _first_comment(config_folder() / name) for name in config_names()}


def trainable() -> dict[str, str]:
    """Return the networks with trainable parameters."""
    return _described(network for network in _networks() if _has_parameters(network))


def untrained() -> dict[str, str]:
    """Return the networks without trainable parameters."""
    return _described(network for network in _networks() if not _has_parameters(network))


def data() -> dict[str, str]:
    """Return the DataModules."""
    classes = classes_of(datamodules)
    return _described(one for one in classes if issubclass(one, datamodules.ReconstructionDataModule))


def patterns() -> dict[str, str]:
    """Return the sampling patterns."""
    return _described(one for one in classes_of(sampling) if issubclass(one, SamplingPattern | TrajectoryPattern))


def trained_weights() -> dict[str, str]:
    """Return the weights in the package, with the title of their cards."""
    cards = {name: Path(weights.__file__).with_name(f"{name}.md") for name in weights.shipped()}
    return {name: card.read_text().splitlines()[0].partition(": ")[2] for name, card in cards.items()}


def quality_metrics() -> dict[str, str]:
    """Return the metrics."""
    names = ("psnr", "ser", "ssim", "frame_ssim", "mse", "nmse", "hfen", "sam", "ergas")
    return {name: docstring_summary(getattr(metrics, name)) for name in names}


def run_callbacks() -> dict[str, str]:
    """Return the callbacks."""
    return _described(classes_of(callbacks))


KINDS: Mapping[str, tuple[str, Callable[[], dict[str, str]]]] = {
    "configs": ("--config NAME, several of which may be given", configs),
    "networks": ("trainable, --model.network NAME", trainable),
    "untrained": ("networks without training, also --report.untrained '[NAME]'", untrained),
    "weights": ("--model.weights NAME", trained_weights),
    "data": ("--data NAME", data),
    "patterns": ("sampling of dynamic MRI, --data.pattern NAME", patterns),
    "metrics": ("functions of lowrank_unroll.metrics", quality_metrics),
    "callbacks": ("--trainer.callbacks+=NAME, unless every run has it", run_callbacks),
}


def _entry(name: str, line: str) -> str:
    """Return a name and its line, wrapped to the width of the terminal, or of 80 characters without one."""
    width = min(get_terminal_size().columns, MAX_WIDTH)
    indent = " " * (NAME_WIDTH + 4)
    wrapped = fill(line, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return f"  {name}\n{wrapped}" if len(name) > NAME_WIDTH else f"  {name:<{NAME_WIDTH}}  {wrapped.lstrip()}"


def _networks() -> list[type[nn.Module]]:
    return [one for one in classes_of(networks) if issubclass(one, nn.Module)]


def _has_parameters(network: type[nn.Module]) -> bool:
    """Return whether a network, built with its defaults, has trainable parameters."""
    if network is networks.WithLowRank:  # which has no default for the network that it is around
        return True
    return any(parameter.requires_grad for parameter in network().parameters())


def _described(classes: Iterable[type]) -> dict[str, str]:
    return {one.__name__: ROLE.sub(r"\1", docstring_summary(one)) for one in classes}


def _first_comment(config: Path) -> str:
    """Return the first sentence of the comment at the top of a config."""
    comment = takewhile(lambda line: line.startswith("#"), config.read_text().splitlines())
    return END_OF_SENTENCE.split(" ".join(line.removeprefix("#").strip() for line in comment))[0]
