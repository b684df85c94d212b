"""Zero-filled reconstruction, the start of the published networks."""

from torch import Tensor, nn

from lowrank_unroll.operators import LinearOperator, check_tensor


class ZeroFilled(nn.Module):
    """The adjoint reconstruction A^H y: a zero-filled image, combined over coils if there are several."""

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Apply the adjoint of the operator A to a measurement y."""
        check_tensor(measurement=measurement)
        return operator.adjoint(measurement)
