"""Functions of batches of matrices, applied to parts of the batch: on several threads, or to stay in the cache."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier, Thread

import torch
from torch import Tensor

# Multiplications in a batch from which on threads are worth their start: a batch of 64 x 32 x 32 gains nothing, one of
# 384 x 32 x 32 takes 23 ms instead of 39 ms.
MIN_SHARED_WORK = 8_000_000

# The allocator keeps intermediate matrices of about a megabyte, and returns larger ones to the system after every
# operation. The gradient of 384 x 32 x 32 takes 2.6 ms in chunks of this size, 4.8 ms at once.
CHUNK_BYTES = 2**20

Function = Callable[..., tuple[Tensor, ...]]


def map_threads(function: Function, A: Tensor) -> tuple[Tensor, ...]:
    """Apply a function to matrices (..., m, n); on the CPU each thread takes a part of the batch where that is faster.

    The work is counted as that of a decomposition, m n min(m, n) for each matrix.
    """
    count, m, n = math.prod(A.shape[:-2]), *A.shape[-2:]
    threads = _threads(A, count, count * m * n * min(m, n))
    if threads == 1:
        return function(A)
    return _joined(_pool(threads).map(function, *_parts(threads, A.shape[:-2], A)), A.shape[:-2])


def all_threads(function: Callable[..., bool], work: int, batch: torch.Size, *tensors: Tensor) -> bool:
    """Call a function that fills tensors (batch, ...); each thread takes a part of the batch where that is faster.

    Args:
        function: called with tensors of one batch dim; returns whether it succeeded.
        work: multiplications in the whole batch.
        batch: the batch dims that all tensors begin with.
        tensors: those that the function reads and fills.

    Returns:
        Whether every call succeeded.
    """
    threads = _threads(tensors[0], math.prod(batch), work)
    if threads == 1:
        return function(*(tensors if len(batch) == 1 else _flat(batch, *tensors)))
    return all(list(_pool(threads).map(function, *_parts(threads, batch, *tensors))))


def map_chunks(function: Function, A: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Apply a function to matrices A (..., m, n) and tensors of the same batch, chunk after chunk on the CPU."""
    batch = A.shape[:-2]
    count = min(math.prod(batch), math.ceil(A.nbytes / CHUNK_BYTES))
    if A.device.type != "cpu" or count < 2:  # noqa: PLR2004
        return function(A, *others)
    return _joined(map(function, *_parts(count, batch, A, *others)), batch)


def _threads(A: Tensor, count: int, work: int) -> int:
    return max(1, min(torch.get_num_threads(), count)) if work >= MIN_SHARED_WORK and A.device.type == "cpu" else 1


def _parts(count: int, batch: torch.Size, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return (tensor.tensor_split(count) for tensor in _flat(batch, *tensors))


def _flat(batch: torch.Size, *tensors: Tensor) -> Iterator[Tensor]:
    return (tensor.reshape(-1, *tensor.shape[len(batch) :]) for tensor in tensors)


def _joined(parts: Iterable[tuple[Tensor, ...]], batch: torch.Size) -> tuple[Tensor, ...]:
    whole = (torch.cat(part) for part in zip(*parts, strict=True))
    return tuple(tensor.reshape(*batch, *tensor.shape[1:]) for tensor in whole)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # LAPACK's own threads inside ours would compete for the cores: up to a hundred times slower.
    pool = ThreadPoolExecutor(threads, "lowrank_unroll", initializer=_use_one_thread)
    started = Barrier(threads)
    list(pool.map(lambda _: started.wait(), range(threads)))
    # The number that one thread sets is the default of all threads that start later: restore it from a new thread.
    restorer = Thread(target=torch.set_num_threads, args=(torch.get_num_threads(),))
    restorer.start()
    restorer.join()
    return pool


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    # A thread reads the number when it is first asked for it: ask now, before the number is restored for other threads.
    torch.get_num_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of these threads
