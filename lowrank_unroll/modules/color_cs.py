"""Compressed sensing of colour images."""

from lowrank_unroll.metrics import SampleMean, mse, psnr, ser, ssim
from lowrank_unroll.modules.completion import CompletionModule


class ColorCS(CompletionModule):
    """Reconstruct colour images of which a random subset of the values is known."""

    def metrics(self) -> dict[str, SampleMean]:
        """Return PSNR, SSIM, SER and MSE, the columns of the paper's tables."""
        return {"psnr": SampleMean(psnr), "ssim": SampleMean(ssim), "ser": SampleMean(ser), "mse": SampleMean(mse)}
