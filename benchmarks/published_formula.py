"""The published gradient of the SVD, written out as it is printed: diagonal matrices, and dense m x m projectors."""

from typing import Any

import torch
from torch import Tensor


class PublishedSVD(torch.autograd.Function):
    """The SVD with the gradient of arXiv 2411.14141 (SVD-inv), without attention to cost."""

    @staticmethod
    def forward(ctx: Any, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decompose."""
        U, S, Vh = torch.linalg.svd(A, full_matrices=False)
        ctx.save_for_backward(U, S, Vh)
        return U, S, Vh

    @staticmethod
    def backward(ctx: Any, gU: Tensor, gS: Tensor, gVh: Tensor) -> Tensor:
        """Term by term."""
        U, s, Vh = ctx.saved_tensors
        V, gV = Vh.mH, gVh.mH
        S = torch.diag_embed(s).to(U.dtype)
        inverse = torch.diag_embed(torch.where(s > 0, 1 / s, 0)).to(U.dtype)
        differences = s[..., None, :] ** 2 - s[..., :, None] ** 2
        F = torch.where(differences == 0, 0, 1 / differences)
        off_diagonal = 1 - torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)
        T = torch.where(differences == 0, off_diagonal, 0) @ torch.where(s > 0, 1 / s, 0).diag_embed()

        J = F * (U.mH @ gU - gU.mH @ U)
        K = F * (V.mH @ gV - gV.mH @ V)
        gA = U @ (J @ S + S @ K + torch.diag_embed(gS).to(U.dtype) + T * (U.mH @ gU)) @ Vh
        rows = torch.eye(U.shape[-2], dtype=U.dtype, device=U.device) - U @ U.mH
        columns = torch.eye(V.shape[-2], dtype=V.dtype, device=V.device) - V @ V.mH
        return gA + rows @ gU @ inverse @ Vh + U @ inverse @ gV.mH @ columns


def published_threshold(A: Tensor, threshold: float) -> Tensor:
    """Soft thresholding of singular values through the published gradient."""
    U, S, Vh = PublishedSVD.apply(A)  # type: ignore[no-untyped-call]
    return U @ torch.diag_embed((S - threshold).relu()).to(U.dtype) @ Vh
