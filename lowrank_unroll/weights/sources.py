"""Sources of trained networks: bundled files, other files of safetensors, checkpoints, and a hub."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lowrank_unroll.errors import DataError, UsageError, first_line
from lowrank_unroll.files import write_whole
from lowrank_unroll.runs.checkpoint_file import read_checkpoint
from lowrank_unroll.weights.hub import HUB, WEIGHTS, downloaded
from lowrank_unroll.weights.trained_for import TrainedFor

SUFFIX = ".safetensors"
BUNDLED = Path(__file__).parent
METADATA = "lowrank_unroll"  # key of the description of the network
PREFIX = "network."  # of a network's weights among those of its module


class TrainedNetwork(NamedTuple):
    """A trained network: its description and its weights.

    Attributes:
        network: its class and arguments as in a config, ``{"class_path": ..., "init_args": {...}}``; None if unknown.
        shrinkage: whether it was trained with its low-rank steps.
        weights: by name.
        about: further facts, such as the commit and the steps of its training.
        trained_for: the measurements that it was trained for.
    """

    network: dict[str, Any] | None
    shrinkage: bool
    weights: dict[str, Tensor]
    about: dict[str, str]
    trained_for: TrainedFor = TrainedFor()


def shipped() -> list[str]:
    """Return the names of the bundled networks; the card of each is NAME.md in the same folder."""
    return sorted(file.stem for file in BUNDLED.glob(f"*{SUFFIX}"))


def read_trained(source: str | Path) -> TrainedNetwork:
    """Read a trained network.

    Args:
        source: the name of a bundled network; a file of weights (.safetensors), or a folder that :func:`export` wrote;
            a checkpoint that `fit` wrote (.ckpt); or "hub:OWNER/NAME", a repository of the Hugging Face Hub.

    Raises:
        UsageError: if there is no such name, file or repository.
        DataError: if the file holds no weights; names it.
        ModuleNotFoundError: if huggingface_hub is needed and not installed.
    """
    path = _file_of(str(source))
    if not path.is_file():
        bundled = ", ".join(shipped()) or "nothing"
        raise UsageError(
            f"no weights {source}: expected a file ({SUFFIX}, .ckpt), {HUB}OWNER/NAME, or a bundled network ({bundled})"
        )
    try:
        trained = _of_safetensors(path) if path.suffix == SUFFIX else _of_checkpoint(path)
        _check_types(trained)
    except DataError:
        raise
    except Exception as error:  # of any class, depending on the damage
        raise DataError(f"{path}: holds no weights that can be read: {first_line(error)}") from error
    return trained


def _check_types(trained: TrainedNetwork) -> None:
    """Check the types of what a file holds.

    Raises:
        TypeError: if one differs.
    """
    for name, kind in (("network", dict | None), ("shrinkage", bool), ("about", dict)):
        if not isinstance(getattr(trained, name), kind):
            raise TypeError(f"its {name} is {getattr(trained, name)!r:.80}")


def _file_of(source: str) -> Path:
    if source in shipped():
        return BUNDLED / f"{source}{SUFFIX}"
    if source.startswith(HUB):
        return downloaded(source.removeprefix(HUB))
    return Path(source) / WEIGHTS if Path(source).is_dir() else Path(source)


def is_written_here(path: Path) -> bool:
    """Return whether :func:`write_trained` has written a file."""
    try:
        with safe_open(path, framework="pt") as file:
            return METADATA in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def write_trained(path: Path, trained: TrainedNetwork) -> None:
    """Write a file of safetensors, from which :func:`read_trained` reads the same."""
    described = {
        "network": trained.network,
        "shrinkage": trained.shrinkage,
        "about": trained.about,
        "trained_for": trained.trained_for.facts(),
    }
    # A copy of each, since safetensors takes no two that share memory, as those of a module that is used twice do.
    weights = {
        name: weight.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, weight in trained.weights.items()
    }
    # One key: safetensors writes several in an order that changes from process to process, and so would the hash.
    write_whole(path, save(weights, metadata={METADATA: json.dumps(described, sort_keys=True)}))


def _of_safetensors(path: Path) -> TrainedNetwork:
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  file is no mapping
        described = json.loads((file.metadata() or {}).get(METADATA, "{}"))
    if not isinstance(described, dict):
        raise TypeError(f"its {METADATA} is a {type(described).__name__}")
    return TrainedNetwork(
        described.get("network"),
        described.get("shrinkage", True),
        weights,
        described.get("about", {}),
        _trained_for(described.get("trained_for", {})),
    )


def _trained_for(facts: dict[str, Any]) -> TrainedFor:
    """Return the facts that JSON holds, lists as tuples."""
    read: dict[str, Any] = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in facts.items()}
    return TrainedFor(**read)


def _of_checkpoint(path: Path) -> TrainedNetwork:
    content = read_checkpoint(path)
    weights = {
        name.removeprefix(PREFIX): weight for name, weight in content["state_dict"].items() if name.startswith(PREFIX)
    }
    known = content.get("hyper_parameters", {})
    network = known.get("network")
    return TrainedNetwork(
        network if isinstance(network, dict) else None,
        known.get("shrinkage", True),
        weights,
        about={"steps": str(content.get("global_step"))},
    )
