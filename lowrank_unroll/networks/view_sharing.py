"""View sharing between the frames of a series, a baseline without training and a start for networks."""

from itertools import islice
from typing import ClassVar

from torch import Tensor, nn

from lowrank_unroll.linalg.autograd import is_tracing
from lowrank_unroll.operators import LinearOperator, cg_iterates, check_tensor, gradient_step
from lowrank_unroll.sample import SERIES_AXES

# The data consistency step corrects the static image, so that a residual well below the motion is enough. Two to six
# iterations reach the tolerance; on a GPU we always run eight, because a convergence test would synchronize it.
TOLERANCE, ITERATIONS = 1e-2, 8


class ViewSharing(nn.Module):
    """The static image s that fits all frames best, made consistent with the measurement of each frame.

        s = argmin ||A (s, ..., s) - y||^2;    x = (s, ..., s) - A^H (A (s, ..., s) - y)

    With one coil a frame takes the k-space that it lacks from the mean of the frames that have it, as in view sharing
    (Foo et al., Magn. Reson. Med. 34, 1995, who share between neighbors only).
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct a series (batch, time, height, width) from a measurement y and its operator A."""
        check_tensor(measurement=measurement)
        measurement, operator = operator.without_shifts(measurement)
        zero_filled = operator.adjoint(measurement)

        def mean_of_frames(static: Tensor) -> Tensor:
            return operator.gram(static.expand_as(zero_filled)).mean(1, keepdim=True)

        statics = cg_iterates(mean_of_frames, zero_filled.mean(1, keepdim=True), TOLERANCE)
        for iterate in islice(statics, ITERATIONS + 1):
            if _is_known_to_have_converged(iterate.active):
                break
        return gradient_step(iterate.solution.expand_as(zero_filled), measurement, operator)


def _is_known_to_have_converged(active: Tensor) -> bool:
    return active.device.type == "cpu" and not is_tracing(active) and not bool(active.any())
