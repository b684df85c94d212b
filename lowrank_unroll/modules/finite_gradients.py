"""The check of gradients, which stops a training before infinity or NaN reaches the weights."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lowrank_unroll.errors import NonFiniteGradientError
from lowrank_unroll.names import abridged


def check_finite(gradients: Mapping[str, Tensor], where: str, batch: str | list[str], scale: float) -> None:
    """Refuse gradients that are not finite.

    With 16-mixed precision the loss is scaled up, and a gradient that overflows is part of finding the scale: the step
    is skipped and the scale halved. Only where that has not helped down to a scale of 1 is it an error.

    Args:
        gradients: by the names of their parameters.
        where: epoch, batch and step, in words.
        batch: names of its samples.
        scale: factor of the loss in mixed precision, else 1.

    Raises:
        NonFiniteGradientError: names the place, the batch and the parameters.
    """
    # One reduction over all parameters, hence one synchronisation per step on a GPU.
    if torch.nn.utils.get_total_norm(gradients.values()).isfinite():
        return
    bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    if bad and scale > 1:
        return
    raise NonFiniteGradientError(
        f"The gradient is not finite at {where}. Batch: {abridged(batch, limit=128)}. Parameters: "
        f"{abridged(bad) if bad else 'all finite, but their norm overflows'}. No weight was changed by this batch. A "
        "measurement or target that holds NaN or infinity does this, and repeated singular values (a black or constant "
        'image is enough) with gradient="plain"; gradient="exact", the default, is finite for every image. Otherwise '
        "lower the learning rate or clip gradients."
    )
