"""Self-supervised denoising: an unbiased estimate of the error, without targets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lowrank_unroll.checks import check_positive
from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules.supervision import Stage
from lowrank_unroll.runs.cuda_graphs import Reconstruct
from lowrank_unroll.sample import Sample

if TYPE_CHECKING:
    from lowrank_unroll.modules.reconstruction import ReconstructionModule


@dataclass(frozen=True)
class SURE:
    """Stein's unbiased risk estimate: self-supervision where the noise is white and Gaussian, of known level.

        ||f(y) - y||^2 - N v + 2 sigma^2 div f(y),    div f(y) = E <b, J_f(y) b>

    over the N values has the expectation of ||f(y) - x||^2 (Stein, Ann. Statist. 9, 1981), where v is E|n|^2, sigma^2
    for real and 2 sigma^2 for complex values, and the divergence is over real and imaginary parts. One random b of unit
    variance estimates it (Ramani, Blu & Unser, IEEE TIP 17, 2008); J_f(y) b is the exact directional derivative, in
    forward mode. For tasks whose operator is unitary, such as denoising.

    Args:
        noise: sigma, the standard deviation of the real part of the noise, and likewise of the imaginary part, in the
            unit of the samples; it is 1 for the DataModules of denoising.

    Raises:
        ValueError: if the noise is not positive.
    """

    noise: float = 1.0

    def __post_init__(self) -> None:
        check_positive(noise=self.noise)

    def objective(
        self, task: "ReconstructionModule", reconstruct: Reconstruct, batch: Sample, stage: Stage, step: int
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct a batch, and estimate its mean squared error; see ``Supervision``.

        The estimate is in the squared unit of the samples, and may be negative. Validation takes the same b for a batch
        in every epoch.

        Raises:
            UsageError: if the operator is not unitary, or the network saves memory by checkpoints.
        """
        operator, measurement = task.operator(batch), batch.measurement
        if not operator.unitary:
            raise UsageError(
                f"SURE is for denoising, whose operator is unitary, and that of {type(task).__name__} is not: give "
                "--model.self_supervision SSDU"
            )
        if torch.is_grad_enabled() and any(getattr(one, "checkpoint_iterations", False) for one in task.modules()):
            raise UsageError(
                "SURE differentiates the network in forward mode, of which checkpoints keep nothing: give "
                "--model.network.checkpoint_iterations false"
            )
        has_graph = torch.is_grad_enabled()
        # Inference mode, which Trainer.validate is in, drops tangents. Its tensors take none either, but clones do.
        with torch.inference_mode(False), torch.set_grad_enabled(has_graph), forward_ad.dual_level():
            measurement = measurement.clone()
            direction = _white_noise_like(measurement, step)
            dual_measurement = forward_ad.make_dual(measurement, direction)  # type: ignore[no-untyped-call]
            dual, penalty = reconstruct(batch._replace(measurement=dual_measurement))
            reconstruction, change = forward_ad.unpack_dual(dual)  # type: ignore[no-untyped-call]
        with torch.autocast(task.device.type, enabled=False):
            residual = operator(reconstruction) - measurement
            risk = residual.abs().square().mean() - (1 + measurement.is_complex()) * self.noise**2
            if change is not None:
                product = operator(change).conj() * direction
                risk = risk + 2 * self.noise**2 * product.real.mean()
        return risk + penalty, reconstruction


def _white_noise_like(measurement: Tensor, seed: int) -> Tensor:
    """Draw numbers whose real parts, and imaginary parts, have unit variance."""
    generator = torch.Generator(measurement.device).manual_seed(seed)
    parts = torch.view_as_real(measurement) if measurement.is_complex() else measurement
    drawn = torch.randn(parts.shape, dtype=parts.dtype, device=parts.device, generator=generator)
    return torch.view_as_complex(drawn) if measurement.is_complex() else drawn
