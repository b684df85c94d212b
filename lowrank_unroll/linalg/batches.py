"""Work through a batch of matrices in parts: on several threads, and to stay in the cache."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier, Thread

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

# Fewer multiplications than this in a batch are not worth sharing among threads: a batch of 64 x 32 x 32 gains nothing,
# one of 384 x 32 x 32 takes 23 ms instead of 39 ms.
SHARED_WORK = 8_000_000

# Intermediate matrices of about a megabyte are kept by the allocator; larger ones go back to the system after every
# operation. The gradient of 384 x 32 x 32 takes 2.6 ms in parts of this many bytes, 4.8 ms in one.
PART = 2**20

Function = Callable[..., tuple[Tensor, ...]]


def traced(tensor: Tensor) -> bool:
    """Return whether a compiler, a tracer or ``torch.func`` watches, or a tensor has no values to read."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():  # noqa: SLF001  no public name
        return True
    if torch._C._is_tracing():  # noqa: SLF001  faster than its public name
        return True
    return tensor.is_meta or isinstance(tensor, FakeTensor) or _get_current_dispatch_mode() is not None


def decomposed(decomposition: Function, A: Tensor) -> tuple[Tensor, ...]:
    """The factors of matrices (..., m, n), with a part of the batch to each thread of the CPU where that is faster."""
    count, m, n = math.prod(A.shape[:-2]), *A.shape[-2:]
    threads = _threads(A, count, count * m * n * min(m, n))
    if threads == 1:
        return decomposition(A)
    return _joined(_pool(threads).map(decomposition, *_parts(threads, A.shape[:-2], A)), A.shape[:-2])


def shared(function: Callable[..., bool], work: int, batch: torch.Size, *tensors: Tensor) -> list[bool]:
    """Call a function that fills tensors (batch, ...), with a part for each thread where that is faster.

    It is given tensors with one batch dim; returned is the status of each call.
    """
    threads = _threads(tensors[0], math.prod(batch), work)
    if threads == 1:
        return [function(*(tensors if len(batch) == 1 else _flat(batch, *tensors)))]
    return list(_pool(threads).map(function, *_parts(threads, batch, *tensors)))


def part_by_part(function: Function, A: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """A function of matrices A (..., m, n) and of tensors with the same batch dims, applied to parts of the batch."""
    batch = A.shape[:-2]
    count = min(math.prod(batch), math.ceil(A.nbytes / PART))
    if A.device.type != "cpu" or count < 2:  # noqa: PLR2004
        return function(A, *others)
    return _joined(map(function, *_parts(count, batch, A, *others)), batch)


def _threads(A: Tensor, count: int, work: int) -> int:
    return max(1, min(torch.get_num_threads(), count)) if work >= SHARED_WORK and A.device.type == "cpu" else 1


def _parts(count: int, batch: torch.Size, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return (tensor.tensor_split(count) for tensor in _flat(batch, *tensors))


def _flat(batch: torch.Size, *tensors: Tensor) -> Iterator[Tensor]:
    return (tensor.reshape(-1, *tensor.shape[len(batch) :]) for tensor in tensors)


def _joined(parts: Iterable[tuple[Tensor, ...]], batch: torch.Size) -> tuple[Tensor, ...]:
    whole = (torch.cat(part) for part in zip(*parts, strict=True))
    return tuple(tensor.reshape(*batch, *tensor.shape[1:]) for tensor in whole)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # LAPACK's own threads inside ours would fight for the cores: up to a hundred times slower.
    pool = ThreadPoolExecutor(threads, "lowrank_unroll", initializer=_alone)
    everyone = Barrier(threads)
    list(pool.map(lambda _: everyone.wait(), range(threads)))
    # What one thread sets is the default of all that start later: they get back what they would have had.
    restorer = Thread(target=torch.set_num_threads, args=(torch.get_num_threads(),))
    restorer.start()
    restorer.join()
    return pool


def _alone() -> None:
    torch.set_num_threads(1)
    # What is set counts from when it is first asked for: now, before the number is restored for all other threads.
    torch.get_num_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of these threads
