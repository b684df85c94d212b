"""Networks built with trained weights, and trained weights loaded into networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowrank_unroll import networks, prox
from lowrank_unroll.errors import DataError, UsageError, first_line
from lowrank_unroll.names import abridged
from lowrank_unroll.prox import remove_shrinkage, trained_low_rank_steps
from lowrank_unroll.weights.sources import TrainedNetwork, read_trained
from lowrank_unroll.weights.trained_for import UseWarning

MOST_NAMED = 3
LARGEST = 4096  # sum of the numbers in the description of a network, such as iterations, and of their count


def load_network(source: str | Path, network: nn.Module | None = None) -> nn.Module:
    """Return a trained network, ready to reconstruct: ``load_network("color_cs")(measurement, operator)``.

    The network warns (:class:`BeyondTrainingWarning`) when it is used for measurements that it was not trained for.

    Args:
        source: a bundled name, a file, a folder, or a repository: see :func:`lowrank_unroll.weights.read_trained`.
        network: gets the weights; None builds the network that they were trained in, if it is one of this package.

    Returns:
        The network, in evaluation mode, on the CPU.

    Raises:
        UsageError: if there is no such source, or its network is not one of this package and none is passed, or the
            weights are of another network.
        DataError: if the file holds no weights; names it.
    """
    trained = read_trained(source)
    if network is None:
        network = _network_of(trained, source)
    _load(network, trained, source)
    return network.eval()


def load_weights(network: nn.Module, source: str | Path) -> None:
    """Load weights into a network, in place; arguments and errors as for :func:`load_network`."""
    _load(network, read_trained(source), source)


def differing_weights(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """Return the names of weights that only one of two has, or that differ in shape or kind of numbers."""
    kinds = [{name: _kind(weight) for name, weight in weights.items()} for weights in (ours, theirs)]
    return sorted(name for name in ours.keys() | theirs.keys() if kinds[0].get(name) != kinds[1].get(name))


def _kind(weight: Tensor) -> tuple[torch.Size, bool, bool]:
    """Return shape and kind of a weight; PyTorch would load complex weights into real ones, without imaginary part."""
    return weight.shape, weight.is_complex(), weight.is_floating_point()


def _load(network: nn.Module, trained: TrainedNetwork, source: str | Path) -> None:
    _check_same(network, trained, source)
    undefined = [name for name, _ in network.named_parameters() if not trained.weights[name].isfinite().all()]
    if undefined:
        raise DataError(f"{source}: has infinite or NaN weights, {abridged(undefined, limit=MOST_NAMED)}: take another")
    network.load_state_dict(trained.weights)
    if trained.trained_for.facts():
        UseWarning(str(source), trained.trained_for).watch(network)


def _check_same(network: nn.Module, trained: TrainedNetwork, source: str | Path) -> None:
    if differing := differing_weights(network.state_dict(), trained.weights):
        kind = str((trained.network or {}).get("class_path", "another network")).rpartition(".")[-1]
        raise UsageError(
            f"{source}: are weights of {kind}, of which {len(differing)} differ in name, shape or kind from those "
            f"of {type(network).__name__}, such as {', '.join(differing[:MOST_NAMED])}: give the same arguments"
        )


def _network_of(trained: TrainedNetwork, source: str | Path) -> nn.Module:
    if trained.network is None:
        raise UsageError(f"{source}: does not name the network of its weights: pass the network, too")
    _check_size(trained, source)
    with torch.device("meta"):  # which takes no memory: the description may be of a network far larger than the file
        _check_same(_built_network(trained, source), trained, source)
    return _built_network(trained, source)


def _check_size(trained: TrainedNetwork, source: str | Path) -> None:
    """Refuse a description of an enormous network, and weights that take more memory than the file holds."""
    total, waiting = 0, [trained.network]
    while waiting and total <= LARGEST:
        part = waiting.pop()
        total += 1 + (min(abs(part), LARGEST) if isinstance(part, int | float) else 0)
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
    if not total <= LARGEST:  # also if it is NaN
        raise DataError(f"{source}: describes a network by numbers that add up to more than {LARGEST}: is it one?")
    parts = {part.data_ptr(): part.nbytes() for part in (w.untyped_storage() for w in trained.weights.values())}
    if sum(weight.nbytes for weight in trained.weights.values()) > sum(parts.values()):
        raise DataError(f"{source}: has weights that share their memory, expected a value for each of their elements")


def _built_network(trained: TrainedNetwork, source: str | Path) -> nn.Module:
    try:
        network = _built(trained.network, source)
    except RecursionError as error:
        raise DataError(f"{source}: describes a network that is nested too deeply") from error
    if not isinstance(network, nn.Module):
        raise DataError(f"{source}: describes a {type(network).__name__}, expected a network")
    if not trained.shrinkage and trained_low_rank_steps(network):
        remove_shrinkage(network)
    return network


def _built(description: Any, source: str | Path) -> Any:
    """Build the object that a config describes, of classes of this package alone: no file may import others."""
    if isinstance(description, list):
        return tuple(_built(item, source) for item in description)
    if not (isinstance(description, dict) and "class_path" in description):
        return description
    class_path, init_args = description["class_path"], description.get("init_args") or {}
    if not (isinstance(class_path, str) and isinstance(init_args, dict)):
        raise DataError(
            f"{source}: describes no network by class_path {class_path!r:.80} and init_args {init_args!r:.80}"
        )
    package, _, name = class_path.rpartition(".")
    known = {module.__name__: module for module in (networks, prox)}.get(package)
    if known is None or name not in known.__all__:
        raise UsageError(f"{source}: is of {class_path}, no class of this package: pass the network, too")
    arguments = {key: _built(value, source) for key, value in init_args.items()}
    try:
        return getattr(known, name)(**arguments)
    except Exception as error:  # of any class, depending on the argument
        problem = f"{first_line(error):.200}"
        raise DataError(f"{source}: describes {name} by arguments that it does not take: {problem}") from error
