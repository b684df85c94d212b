"""Weights of published implementations, under the names that the reference vectors give them."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


def load_reference_weights(network: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Load weights named ``weight/iteration{i}.…`` into an unrolled network, in place.

    Args:
        network: any network of this package with as many iterations and channels as the weights have.
        arrays: name to array; names without the prefix ``weight/`` are ignored. Convolution kernels are
            (out, in, [time,] height, width).

    Raises:
        ValueError: if a weight is missing, left over, or of another size than the parameter.
    """
    weights = {name.removeprefix("weight/"): array for name, array in arrays.items() if name.startswith("weight/")}
    parameters = {_reference_name(name): parameter for name, parameter in network.named_parameters()}
    if missing := sorted(parameters.keys() - weights.keys()):
        raise ValueError(f"no reference weights for {', '.join(missing)}")
    if unused := sorted(weights.keys() - parameters.keys()):
        raise ValueError(f"{type(network).__name__} has no place for the reference weights {', '.join(unused)}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            weight = torch.as_tensor(weights[name])
            if weight.squeeze().shape != parameter.squeeze().shape:
                expected, given = tuple(parameter.shape), tuple(weight.shape)
                raise ValueError(f"the reference weight {name} has shape {given}, expected {expected}")
            parameter.copy_(weight.reshape(parameter.shape))


def _reference_name(parameter: str) -> str:
    return parameter.replace("iterations.", "iteration").replace("prox.", "").removesuffix(".weight")
