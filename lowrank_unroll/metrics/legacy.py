"""Measures as the published code of Zhang & Hu (arXiv:2411.14141) takes them, to compare with its numbers.

That code tests colour images with values from 0 to 255, where this package has [0, 1], and takes SSIM with data range 1
all the same. Both functions here take images in [0, 1] and judge them as that does. PSNR and SER as they are in this
package do not depend on the unit, so they are not here. To report both, replace the metrics of a module::

    class PublishedColorCS(ColorCS):
        def metrics(self):
            return super().metrics() | {"ssim": SampleMean(legacy.ssim), "mse": SampleMean(legacy.mse)}
"""

import torch
from torch import Tensor

from lowrank_unroll.metrics import functional
from lowrank_unroll.metrics.comparison import compares

WHITE = 255
WINDOW = 7


@compares("channel, height, width", higher_is_better=True, label="SSIM", smallest=WINDOW, real=True)
def ssim(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of data range 1 of images in [0, 255], given in [0, 1]; shape (batch,).

    It is scikit-image's with its default window, 7 x 7 and uniform, in double precision on the CPU. The constants that
    make :func:`lowrank_unroll.metrics.ssim` lenient where an image is flat are 65025 times smaller beside such values.
    scikit-image's photograph of a cat with Gaussian noise of standard deviation 0.01 has 0.90 instead of 0.96; with
    0.05, 0.48 instead of 0.54.

    Args:
        reconstruction: (batch, channel, height, width), in [0, 1], of at least 7 x 7 pixels.
        target: of the same shape.
    """
    from skimage.metrics import structural_similarity  # noqa: PLC0415  takes a second, and few ask for it

    pairs = zip(*((WHITE * images.detach().double()).cpu().numpy() for images in (reconstruction, target)), strict=True)
    values = [structural_similarity(*pair, win_size=WINDOW, data_range=1, channel_axis=0) for pair in pairs]
    return torch.tensor(values, dtype=target.dtype, device=target.device)


@compares(higher_is_better=False, label="MSE")
def mse(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of images in [0, 255], given in [0, 1]: 65025 times :func:`lowrank_unroll.metrics.mse`."""
    return functional.mse(WHITE * reconstruction, WHITE * target)
