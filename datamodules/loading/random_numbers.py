"""The source of whatever is random about a sample."""

import numpy as np
import torch


def generator_of(*numbers: int) -> torch.Generator:
    """A random generator that depends on every one of some non-negative numbers, such as a seed and a draw."""
    # The generator keeps 32 bits of its seed: the sequence mixes the numbers into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
