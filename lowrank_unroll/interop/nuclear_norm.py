"""The nuclear norm of an image's matrices, with an absolute threshold, for algorithms of other libraries."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from lowrank_unroll.linalg import at_least_single, singular_value_threshold
from lowrank_unroll.networks.layers.convolutions import from_channels, to_channels
from lowrank_unroll.prox import Blocks, Frames, Matricization, Patches

FRAMES = Frames()


class Rearranged(Matricization):
    """Matrices of an image in the layout of another library: rearrange it, and leave the rest to a matricization.

    Args:
        matricization: of the rearranged image.
    """

    def __init__(self, matricization: Matricization) -> None:
        self.matricization = matricization

    @abstractmethod
    def rearrange(self, image: Tensor) -> Tensor:
        """Return the image as the matricization takes it."""

    @abstractmethod
    def restore(self, image: Tensor) -> Tensor:
        """Return the image in the layout of the library, the inverse of :meth:`rearrange`."""

    def locate(self, image: Tensor) -> Tensor | None:
        """Find the matches of the rearranged image."""
        return self.matricization.locate(self.rearrange(image))

    def split(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the matrices of the rearranged image."""
        return self.matricization.split(self.rearrange(image), matches)

    def join(self, matrices: Tensor, matches: Tensor | None, image: Tensor) -> Tensor:
        """Return the image of matrices, in the layout of the library."""
        return self.restore(self.matricization.join(matrices, matches, self.rearrange(image)))

    def map(self, function: Callable[[Tensor], Tensor], image: Tensor, matches: Tensor | None) -> Tensor:
        """Apply a function to the matrices of the rearranged image."""
        return self.restore(self.matricization.map(function, self.rearrange(image), matches))

    def rms_norm(self, image: Tensor, matches: Tensor | None) -> Tensor | None:
        """Return the RMS Frobenius norm of the matrices of the rearranged image."""
        return self.matricization.rms_norm(self.rearrange(image), matches)

    @property
    def threshold_unit(self) -> str:  # type: ignore[override]
        """Name of the quantity that thresholds are fractions of."""
        return self.matricization.threshold_unit

    @property
    def centered(self) -> bool:  # type: ignore[override]
        """True if the mean of the rows of a matrix is subtracted before the shrinkage."""
        return self.matricization.centered


class ComplexChannels(Rearranged):
    """Matrices of a complex image whose real and imaginary parts are two channels, (batch, 2, ...).

    Shrinking the singular values of complex matrices is the proximal map of their nuclear norm for the real inner
    product of the channels, too.

    Args:
        matricization: of the complex image (batch, ...).

    >>> ComplexChannels(Blocks(4)).split(torch.zeros(1, 2, 5, 8, 8), None).shape
    torch.Size([1, 4, 5, 16])
    """

    def rearrange(self, image: Tensor) -> Tensor:
        """Return the complex image (batch, ...)."""
        return from_channels(image)

    def restore(self, image: Tensor) -> Tensor:
        """Return the channels (batch, 2, ...)."""
        return to_channels(image)


def check_partition(matricization: Matricization) -> None:
    """Refuse matrices that share pixels: shrinking each of them is not the proximal map of their nuclear norm.

    Raises:
        ValueError: for patches, and for several grids of blocks.
    """
    match matricization:
        case Rearranged(matricization=inner):
            check_partition(inner)
        case Patches() | Blocks(offsets=[_, _, *_]):
            raise ValueError(
                f"the matrices of {matricization} share pixels, so that their shrinkage is no proximal map, expected "
                "Frames, Casorati or Blocks of one grid; a denoiser takes any"
            )


def is_complex_inside(image: Tensor, matricization: Matricization) -> bool:
    """Return whether the image of which the innermost matricization makes matrices is complex."""
    while isinstance(matricization, Rearranged):
        image, matricization = matricization.rearrange(image), matricization.matricization
    return image.is_complex()


def nuclear_norm(image: Tensor, matricization: Matricization = FRAMES) -> Tensor:
    """Return the sum of the nuclear norms of the matrices of each image.

    Args:
        image: (batch, ...), as the matricization takes it, real or complex.
        matricization: the matrices.

    Returns:
        (batch,), real, in the unit of the image. Its gradient is a subgradient, finite also at repeated values.

    >>> nuclear_norm(torch.diag(torch.tensor([3.0, 1.0]))[None])
    tensor([4.])
    """
    matrices = matricization.split(at_least_single(image), None)
    return torch.linalg.svdvals(matrices).flatten(1).sum(1)  # type: ignore[no-any-return]


def shrink(image: Tensor, threshold: Tensor | float, matricization: Matricization = FRAMES) -> Tensor:
    """Soft-threshold the singular values of an image's matrices.

    This is the proximal map of threshold * :func:`nuclear_norm` if the matrices share no pixels.

    Args:
        image: (batch, ...), as the matricization takes it, real or complex.
        threshold: non-negative, in the unit of the image; one number, or one for each image, (batch,) or
            (batch, 1, ...).
        matricization: the matrices.

    Returns:
        Shape and dtype of ``image``.

    Raises:
        ValueError: if the threshold is negative.

    >>> shrink(torch.diag(torch.tensor([3.0, 1.0]))[None], 1.0).diagonal(dim1=-2, dim2=-1)
    tensor([[2., 0.]])
    """
    return matricization.map(
        lambda matrices: singular_value_threshold(matrices, per_image(threshold, matrices)), image, None
    )


def per_image(value: Tensor | float, matrices: Tensor) -> Tensor | float:
    """Return a number, or one for each image (batch, 1, ...), so that it broadcasts to the batch of matrices."""
    if not isinstance(value, Tensor) or value.numel() == 1:
        return value.reshape(()) if isinstance(value, Tensor) else value
    return value.reshape(len(value), *[1] * (matrices.ndim - 3))
