"""Steps that make an image agree with the measurement."""

from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator


def project_onto_measurement(image: Tensor, measurement: Tensor, operator: LinearOperator) -> Tensor:
    """The image nearest to the given one that explains the measurement exactly: argmin ||x - v|| s.t. A x = y.

    For a partial isometry this is v - A^H (A v - y); for a mask, (1 - m) o v + y.

    Args:
        image: v, any shape the operator takes.
        measurement: y, in the range of the operator.
        operator: A, a partial isometry.

    Returns:
        The projection, shape and dtype of ``image``.

    Raises:
        ValueError: if the operator is not a partial isometry.
    """
    if not operator.partial_isometry:
        raise ValueError(
            f"{type(operator).__name__} is not a partial isometry (A A^H A = A), so the projection onto its "
            "measurements has no closed form; set partial_isometry = True on the class if it is one"
        )
    return image - operator.adjoint(operator(image) - measurement)
