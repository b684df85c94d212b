"""Networks with trained weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lowrank_unroll import networks, prox
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.prox import remove_shrinkage
from lowrank_unroll.weights.sources import TrainedNetwork, read_trained

MOST_NAMED = 3


def load_network(source: str | Path, network: nn.Module | None = None) -> nn.Module:
    """A trained network, ready to reconstruct: ``load_network("color_cs")(measurement, operator)``.

    Args:
        source: a name in the box, a file, a folder, or a repository: see :func:`lowrank_unroll.weights.read_trained`.
        network: what to load the weights into; None for the network they were trained in, if it is one of this
            package.

    Returns:
        The network, in evaluation mode, on the CPU.

    Raises:
        UsageError: if there is no such source, or its network is not one of this package and none is given, or the
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
    """Names of the weights that one of two has alone, or in another shape."""
    shapes = [{name: weight.shape for name, weight in weights.items()} for weights in (ours, theirs)]
    return sorted(name for name in ours.keys() | theirs.keys() if shapes[0].get(name) != shapes[1].get(name))


def _load(network: nn.Module, trained: TrainedNetwork, source: str | Path) -> None:
    if differing := differing_weights(network.state_dict(), trained.weights):
        kind = (trained.network or {}).get("class_path", "another network").rpartition(".")[-1]
        raise UsageError(
            f"{source}: are weights of {kind}, of which {len(differing)} differ in name or shape from those of "
            f"{type(network).__name__}, such as {', '.join(differing[:MOST_NAMED])}: give the same arguments"
        )
    network.load_state_dict(trained.weights)


def _network_of(trained: TrainedNetwork, source: str | Path) -> nn.Module:
    if trained.network is None:
        raise UsageError(f"{source}: does not say what network its weights are of: pass it, too")
    network = _built(trained.network, source)
    if not isinstance(network, nn.Module):
        raise DataError(f"{source}: describes a {type(network).__name__}, expected a network")
    if not trained.shrinkage:
        remove_shrinkage(network)
    return network


def _built(description: Any, source: str | Path) -> Any:
    """Build what a config describes, of classes of this package alone: no file chooses what else is imported."""
    if isinstance(description, list):
        return tuple(_built(item, source) for item in description)
    if not (isinstance(description, dict) and "class_path" in description):
        return description
    package, _, name = description["class_path"].rpartition(".")
    known = {module.__name__: module for module in (networks, prox)}.get(package)
    if known is None or name not in known.__all__:
        raise UsageError(
            f"{source}: is of {description['class_path']}, no class of this package: pass the network, too"
        )
    arguments = {key: _built(value, source) for key, value in (description.get("init_args") or {}).items()}
    try:
        return getattr(known, name)(**arguments)
    except TypeError as error:
        raise DataError(f"{source}: describes {name} by arguments that it does not take: {error}") from error
