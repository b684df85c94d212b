"""The nuclear norm as a prior of deepinv, and the smooth version of any prior."""

from typing import Any

from torch import Tensor

from lowrank_unroll.checks import check_positive
from lowrank_unroll.interop.deepinv.library import deepinv
from lowrank_unroll.interop.nuclear_norm import FRAMES, check_partition, nuclear_norm, shrink
from lowrank_unroll.prox import Matricization


class NuclearNormPrior(deepinv.optim.Prior):
    """The sum of the nuclear norms of an image's matrices, with its exact proximal map.

    deepinv's algorithms minimise f(x) + lambda g(x) with it. ``prox`` shrinks singular values, with a finite and exact
    gradient also at repeated ones. ``grad`` is a subgradient; for algorithms that need a gradient take the
    :class:`MoreauEnvelope`.

    Args:
        matricization: the matrices: ``Frames()``, each channel by itself; ``Casorati()`` or ``Blocks(8)`` of a series
            (batch, ..., time, height, width); or ``ComplexChannels(...)`` of these, for real and imaginary channels.

    Raises:
        ValueError: if the matrices share pixels.

    >>> x = torch.diag(torch.tensor([3.0, 1.0]))[None, None]
    >>> NuclearNormPrior()(x), NuclearNormPrior().prox(x, gamma=0.5)[0, 0].diagonal()
    (tensor([4.]), tensor([2.5000, 0.5000]))
    """

    def __init__(self, matricization: Matricization = FRAMES) -> None:
        super().__init__()
        check_partition(matricization)
        self.matricization = matricization
        self.explicit_prior = True

    def fn(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the nuclear norm of each image, (batch,)."""
        return nuclear_norm(x, self.matricization)

    def prox(
        self, x: Tensor, *args: Any, ths: Tensor | float = 1.0, gamma: Tensor | float = 1.0, **kwargs: Any
    ) -> Tensor:
        """Shrink the singular values by ths * gamma, as deepinv's own priors do; numbers or one for each image."""
        return shrink(x, ths * gamma, self.matricization)


class MoreauEnvelope(deepinv.optim.Prior):
    """The Moreau envelope of a convex prior g, smooth, with the minimisers of g: min_z g(z) + ||x - z||^2 / (2 m).

    Its gradient (x - prox_mg(x)) / m is Lipschitz continuous with constant 1 / m (Moreau, Bull. Soc. Math. France 93,
    1965). That of the nuclear norm is Huber's function of the singular values.

    Args:
        prior: g, with ``fn`` and ``prox``.
        smoothing: m, positive, in the unit of the image if g is a norm.

    Raises:
        ValueError: if the smoothing is not positive.

    >>> x = torch.diag(torch.tensor([3.0, 0.5]))[None, None]
    >>> envelope = MoreauEnvelope(NuclearNormPrior(), smoothing=1.0)
    >>> envelope(x), envelope.grad(x)[0, 0].diagonal()  # 3 - 1/2 and 0.5^2 / 2
    (tensor([2.6250]), tensor([1.0000, 0.5000]))
    """

    def __init__(self, prior: Any, smoothing: float) -> None:
        super().__init__()
        check_positive(smoothing=smoothing)
        self.prior = prior
        self.smoothing = smoothing
        self.explicit_prior = True

    def fn(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the envelope at each image, (batch,)."""
        nearest = self.prior.prox(x, *args, gamma=self.smoothing, **kwargs)
        distance = (x - nearest).abs().square().flatten(1).sum(1)
        value: Tensor = self.prior.fn(nearest, *args, **kwargs) + distance / (2 * self.smoothing)
        return value

    def grad(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the gradient of the envelope, shape of x."""
        gradient: Tensor = (x - self.prior.prox(x, *args, gamma=self.smoothing, **kwargs)) / self.smoothing
        return gradient

    def prox(self, x: Tensor, *args: Any, gamma: Tensor | float = 1.0, **kwargs: Any) -> Tensor:
        """Return x + gamma / (gamma + m) (prox_(gamma + m)g(x) - x), the proximal map of gamma times the envelope."""
        total = gamma + self.smoothing
        nearest: Tensor = self.prior.prox(x, *args, gamma=total, **kwargs)
        return x + gamma / total * (nearest - x)
