"""Where trained networks are kept: in the box, in files of safetensors, in checkpoints, and on a hub."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.files import write_whole
from lowrank_unroll.weights.checkpoint_file import read_checkpoint
from lowrank_unroll.weights.hub import HUB, WEIGHTS, downloaded

SUFFIX = ".safetensors"
BOX = Path(__file__).parent
PREFIX = "network."  # of a network's weights among those of its module


class TrainedNetwork(NamedTuple):
    """What there is to know of a trained network.

    Attributes:
        network: its class and arguments as in a config, ``{"class_path": ..., "init_args": {...}}``; None if unknown.
        shrinkage: whether it was trained with its low-rank steps.
        weights: by name.
        about: what else was written down, such as the commit and the steps of its training.
    """

    network: dict[str, Any] | None
    shrinkage: bool
    weights: dict[str, Tensor]
    about: dict[str, str]


def shipped() -> list[str]:
    """Names of the networks in the box; beside each lies its card, NAME.md."""
    return sorted(file.stem for file in BOX.glob(f"*{SUFFIX}"))


def read_trained(source: str | Path) -> TrainedNetwork:
    """Read a trained network.

    Args:
        source: its name in the box; a file of weights (.safetensors), or a folder that :func:`export` wrote; a
            checkpoint that `fit` wrote (.ckpt); or "hub:OWNER/NAME", a repository of the Hugging Face Hub.

    Raises:
        UsageError: if there is no such name, file or repository.
        DataError: if the file holds no weights; names it.
        ModuleNotFoundError: if huggingface_hub is needed and not installed.
    """
    path = _file_of(str(source))
    if not path.is_file():
        box = ", ".join(shipped()) or "nothing"
        raise UsageError(
            f"no weights {source}: expected a file ({SUFFIX}, .ckpt), {HUB}OWNER/NAME, or a name in the box ({box})"
        )
    return _of_safetensors(path) if path.suffix == SUFFIX else _of_checkpoint(path)


def _file_of(source: str) -> Path:
    if source in shipped():
        return BOX / f"{source}{SUFFIX}"
    if source.startswith(HUB):
        return downloaded(source.removeprefix(HUB))
    return Path(source) / WEIGHTS if Path(source).is_dir() else Path(source)


def write_trained(path: Path, trained: TrainedNetwork) -> None:
    """Write a file of safetensors, from which :func:`read_trained` reads the same."""
    described = {"network": trained.network, "shrinkage": trained.shrinkage, "about": trained.about}
    weights = {name: weight.detach().cpu().contiguous() for name, weight in trained.weights.items()}
    # Under one key: several would come in an order that changes from one process to the next, and so would the hash.
    write_whole(path, save(weights, metadata={"lowrank_unroll": json.dumps(described, sort_keys=True)}))


def _of_safetensors(path: Path) -> TrainedNetwork:
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            described = json.loads((file.metadata() or {}).get("lowrank_unroll", "{}"))
        return TrainedNetwork(
            described.get("network"), described.get("shrinkage", True), weights, described.get("about", {})
        )
    except (SafetensorError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: holds no weights of safetensors: {error}") from error


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
