"""Data consistency: steps that make an image agree with the measurement."""

import torch
from torch import Tensor

from lowrank_unroll.checks import check_not_negative, check_positive
from lowrank_unroll.operators.conjugate_gradients import solve_cg
from lowrank_unroll.operators.linear_operator import LinearOperator


def gradient_step(image: Tensor, measurement: Tensor, operator: LinearOperator, step: Tensor | float = 1.0) -> Tensor:
    """Take one step of gradient descent on 1/2 ||A x - y||^2: x - step A^H (A x - y).

    Args:
        image: x, any shape the operator takes.
        measurement: y, in the range of the operator.
        operator: A.
        step: the step size; it descends for steps below 2 / ||A||^2.

    Returns:
        The new image, shape and dtype of ``image``.

    Raises:
        ValueError: if the measurement is not of the shape of A x.

    >>> A, y = Mask(torch.tensor([True, False])), torch.tensor([5.0, 0.0])
    >>> gradient_step(torch.tensor([1.0, 2.0]), y, A, step=0.5)
    tensor([3., 2.])
    """
    residual = adjoint_residual(image, measurement, operator)
    return image + step * residual if isinstance(step, Tensor) else torch.add(image, residual, alpha=step)


def proximal_step(image: Tensor, measurement: Tensor, operator: LinearOperator, weight: Tensor | float) -> Tensor:
    """Apply the proximal map of the data term: argmin_x 1/2 ||A x - y||^2 + weight/2 ||x - v||^2.

    It is v + (A^H A + weight)^-1 A^H (y - A v). For a partial isometry the inverse is a division by 1 + weight; for
    another operator conjugate gradients compute it, with a relative error of up to 1e-6 (1 + 1 / weight) for
    ||A|| <= 1. It is differentiable with respect to all arguments, tensors of the operator included, in memory that
    does not grow with the iterations.

    Args:
        image: v, any shape the operator takes, the batch first.
        measurement: y, in the range of the operator.
        operator: A.
        weight: positive; for a partial isometry also zero, which gives :func:`project_onto_measurement`.

    Returns:
        The minimiser, shape and dtype of ``image``.

    Raises:
        ValueError: if the measurement is not of the shape of A v, or the weight is a number out of its range.

    >>> A, y = Mask(torch.tensor([True, False])), torch.tensor([5.0, 0.0])
    >>> proximal_step(torch.tensor([1.0, 2.0]), y, A, weight=1.0)
    tensor([3., 2.])
    """
    if not isinstance(weight, Tensor):  # reading a tensor's value would synchronize the GPU
        (check_not_negative if operator.partial_isometry else check_positive)(weight=weight)
    residual = adjoint_residual(image, measurement, operator)
    if operator.partial_isometry:
        return image + residual / (1 + weight)
    return image + solve_cg(lambda x: operator.gram(x) + weight * x, residual)


def project_onto_measurement(image: Tensor, measurement: Tensor, operator: LinearOperator) -> Tensor:
    """Project an image onto those that explain the measurement exactly: argmin ||x - v|| s.t. A x = y.

    For a partial isometry this is v - A^H (A v - y); for a mask, (1 - m) o v + y.

    Args:
        image: v, any shape the operator takes.
        measurement: y, in the range of the operator.
        operator: A, a partial isometry.

    Returns:
        The projection, shape and dtype of ``image``.

    Raises:
        ValueError: if the operator is not a partial isometry, or the measurement not of the shape of A v.

    >>> A, y = Mask(torch.tensor([True, False])), torch.tensor([5.0, 0.0])
    >>> project_onto_measurement(torch.tensor([1.0, 2.0]), y, A)
    tensor([5., 2.])
    """
    if not operator.partial_isometry:
        raise ValueError(
            f"{type(operator).__name__} is not a partial isometry (A A^H A = A), so the projection onto its "
            "measurements has no closed form; set partial_isometry = True on the class if it is one, or use "
            "proximal_step with a small weight"
        )
    return gradient_step(image, measurement, operator)


def adjoint_residual(image: Tensor, measurement: Tensor, operator: LinearOperator) -> Tensor:
    """Return the adjoint residual A^H (y - A x) of an image x.

    Args:
        image: x, any shape the operator takes.
        measurement: y, in the range of the operator.
        operator: A.

    Raises:
        ValueError: if the measurement is not of the shape of A x.

    >>> A, y = Mask(torch.tensor([True, False])), torch.tensor([5.0, 0.0])
    >>> adjoint_residual(torch.tensor([1.0, 2.0]), y, A)
    tensor([4., 0.])
    """
    predicted = operator(image)
    if measurement.shape != predicted.shape:
        given, expected = tuple(measurement.shape), tuple(predicted.shape)
        raise ValueError(f"the measurement is {given}, expected {expected}, the shape that the operator predicts")
    return operator.adjoint(measurement - predicted)
