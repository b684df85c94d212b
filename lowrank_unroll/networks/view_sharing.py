"""A series whose frames share what they measured: a baseline without training, and where others start."""

from itertools import islice
from typing import ClassVar

from torch import Tensor, nn

from lowrank_unroll.operators import LinearOperator, check_tensor, gradient_step, iterates
from lowrank_unroll.sample import SERIES_AXES

# The frames' own samples correct the static image: what is left of its residual is small beside what moves. Patterns
# need two to six iterations for that; a fixed number of them leaves nothing to ask a GPU for.
TOLERANCE, ITERATIONS = 1e-2, 8


class ViewSharing(nn.Module):
    """The static image s that fits all frames best, and in each frame what that measured otherwise.

        s = argmin ||A (s, ..., s) - y||^2;    x = (s, ..., s) - A^H (A (s, ..., s) - y)

    With one coil a frame takes what it lacks of k-space from the mean of the frames that have it, as view sharing does
    (Foo et al., Magn. Reson. Med. 34, 1995, share with neighbours only).
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct a series (batch, time, height, width) of a measurement y and its operator A."""
        check_tensor(measurement=measurement)
        measurement, operator = operator.equivalent(measurement)
        zero_filled = operator.adjoint(measurement)

        def mean_of_frames(static: Tensor) -> Tensor:
            return operator.normal(static.expand_as(zero_filled)).mean(1, keepdim=True)

        statics = iterates(mean_of_frames, zero_filled.mean(1, keepdim=True), TOLERANCE)
        static = next(islice(statics, ITERATIONS, None)).solution
        return gradient_step(static.expand_as(zero_filled), measurement, operator)
