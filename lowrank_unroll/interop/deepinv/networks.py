"""Networks of ours as deepinv's reconstructors, and its reconstructors and denoisers as networks of ours."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.interop.deepinv.library import deepinv
from lowrank_unroll.interop.deepinv.physics import ComplexPhysicsOperator, OperatorPhysics, PhysicsOperator
from lowrank_unroll.networks import UnrolledNetwork
from lowrank_unroll.networks.layers.convolutions import from_channels, to_channels
from lowrank_unroll.operators import LinearOperator, gradient_step


class NetworkReconstructor(deepinv.models.Reconstructor):
    """A network of ours, called as deepinv calls its models: ``model(y, physics)``.

    Args:
        network: called as ``network(measurement, operator)``, trained or without training.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor, physics: Any, **kwargs: Any) -> Tensor:
        """Reconstruct the images of measurements of a linear physics."""
        return self.network(y, PhysicsOperator(physics))  # type: ignore[no-any-return]


class ComplexNetworkReconstructor(NetworkReconstructor):
    """A network of complex images for a physics of real and imaginary channels, such as deepinv's ``DynamicMRI``."""

    def forward(self, y: Tensor, physics: Any, **kwargs: Any) -> Tensor:
        """Reconstruct images (batch, 2, ...) of measurements (batch, 2, ...)."""
        return to_channels(self.network(from_channels(y), ComplexPhysicsOperator(physics)))


class ReconstructorNetwork(nn.Module):
    """A reconstruction model of deepinv as a network of ours, to train, test and compare it by our command line.

    Args:
        model: called as ``model(y, physics)``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct the image of a measurement y and its operator A."""
        return self.model(measurement, OperatorPhysics(operator))  # type: ignore[no-any-return]


class PlugAndPlayState(NamedTuple):
    """The image x, (batch, channel, height, width), real, or (batch, time, height, width), complex."""

    image: Tensor


class PlugAndPlayIteration(nn.Module):
    """A gradient step, then a denoiser: x' = D(x - relu(step) A^H (A x - y), sigma).

    Args:
        denoiser: D.
        sigma: the noise level that it is told.
    """

    def __init__(self, denoiser: nn.Module, sigma: float) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.sigma = sigma
        self.step_size = nn.Parameter(torch.tensor(1.0))

    def forward(self, state: PlugAndPlayState, measurement: Tensor, operator: LinearOperator) -> PlugAndPlayState:
        """Advance the state by one iteration."""
        image = gradient_step(state.image, measurement, operator, self.step_size.relu())
        return PlugAndPlayState(self._denoise(image))

    def _denoise(self, image: Tensor) -> Tensor:
        """Denoise an image, or the frames of a complex series, whose real and imaginary parts are two channels."""
        if not image.is_complex():
            return self.denoiser(image, self.sigma)  # type: ignore[no-any-return]
        frames = to_channels(image).transpose(1, 2)
        denoised: Tensor = self.denoiser(frames.flatten(0, 1), self.sigma)
        return from_channels(denoised.reshape(frames.shape).transpose(1, 2))


class PlugAndPlayNet(UnrolledNetwork[PlugAndPlayState]):
    """Unrolled plug-and-play (Venkatakrishnan et al., GlobalSIP 2013) with a denoiser that all iterations share.

    Args:
        denoiser: called as ``denoiser(image, sigma)`` with real images (batch, channel, height, width), such as
            deepinv's ``DnCNN``, ``DRUNet`` or ``UNet``, pretrained or not; with two channels for complex series. It is
            trained with the step sizes.
        iterations: number of unrolled iterations.
        sigma: the noise level that it is told, in the unit of the image.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is too small.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        iterations: int = 5,
        sigma: float = 0.05,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, iterations=iterations)
        check_not_negative(sigma=sigma)
        steps = (PlugAndPlayIteration(denoiser, sigma) for _ in range(iterations))
        super().__init__(steps, checkpoint_iterations, start)

    def initial_state(self, image: Tensor) -> PlugAndPlayState:
        """Start from the first image."""
        return PlugAndPlayState(image)
