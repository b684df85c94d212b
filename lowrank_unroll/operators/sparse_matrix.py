"""Products with a real sparse matrix, differentiable in the dense factor."""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from lowrank_unroll.linalg import full_precision


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A real sparse matrix in compressed rows (CSR).

    Its parts are dense tensors, and the sparse one is made for each product, which costs microseconds: PyTorch can
    neither copy a sparse tensor deeply nor hand it to a function of ``torch.func``.

    Attributes:
        starts: (rows + 1), int32; the first entry of each row, and the number of all entries.
        columns: (entries), int32; the column of each entry.
        values: (entries), real; the value of each entry.
        shape: (rows, columns).
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    shape: tuple[int, int]

    def tensor(self) -> Tensor:
        """Return the matrix as a sparse tensor that shares its memory."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            parts = self.starts, self.columns, self.values
            return torch.sparse_csr_tensor(*parts, self.shape, check_invariants=False)

    def to(self, device: torch.device | str | int) -> Self:
        """Return the matrix on a device."""
        starts, columns, values = (part.to(device) for part in (self.starts, self.columns, self.values))
        return replace(self, starts=starts, columns=columns, values=values)

    def transpose(self) -> "SparseMatrix":
        """Return the transpose."""
        shape = self.shape[1], self.shape[0]
        if self.values.device.type != "cpu":
            flipped = self.tensor().t().to_sparse_csr()
            return SparseMatrix(flipped.crow_indices(), flipped.col_indices(), flipped.values(), shape)
        from scipy.sparse import csr_array  # noqa: PLC0415  slow to import

        # On the CPU, PyTorch sorts all entries, which takes twenty times as long as SciPy's counting.
        parts = (self.values, self.columns, self.starts)
        counted = csr_array(tuple(part.numpy() for part in parts), shape=self.shape).tocsc()
        starts, columns, values = map(torch.from_numpy, (counted.indptr, counted.indices, counted.data))
        return SparseMatrix(starts, columns, values, shape)


def multiply(matrix: SparseMatrix, transposed: SparseMatrix, dense: Tensor) -> Tensor:
    """Return a matrix times dense columns (columns, ...), real or complex, differentiable in them to any order.

    Args:
        matrix: M.
        transposed: M^T, which gradients are multiplied by.
        dense: (columns, ...).
    """
    parts = torch.view_as_real(dense) if dense.is_complex() else dense
    flat = parts.reshape(len(parts), math.prod(parts.shape[1:]))
    product: Tensor = _Product.apply(flat, matrix, transposed)  # type: ignore[no-untyped-call]
    product = product.reshape(len(product), *parts.shape[1:])
    return torch.view_as_complex(product) if dense.is_complex() else product


class _Product(torch.autograd.Function):
    """A sparse matrix times columns; PyTorch's own gradient would transpose the matrix each time."""

    @staticmethod
    def forward(dense: Tensor, matrix: SparseMatrix, transposed: SparseMatrix) -> Tensor:
        if dense.is_meta:  # for which PyTorch has no sparse product
            return dense.new_empty(matrix.shape[0], dense.shape[1])
        product: Tensor = matrix.tensor().to(dense.dtype) @ dense
        return product

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, SparseMatrix, SparseMatrix], output: Tensor) -> None:
        _, ctx.matrix, ctx.transposed = inputs

    @staticmethod
    @full_precision
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradient, ctx.transposed, ctx.matrix), None, None  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return _Product.apply(tangent, ctx.matrix, ctx.transposed)  # type: ignore[no-untyped-call, no-any-return]

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, None, None], dense: Tensor, matrix: SparseMatrix, transposed: SparseMatrix
    ) -> tuple[Tensor, int]:
        columns = dense.movedim(in_dims[0], 1)
        product: Tensor = _Product.apply(columns.flatten(1), matrix, transposed)  # type: ignore[no-untyped-call]
        return product.reshape(len(product), *columns.shape[1:]), 1
