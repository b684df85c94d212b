"""Overview of a reconstructed series: frame, profile over time, sampling and coils."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lowrank_unroll.names import drawable
from lowrank_unroll.pictures.encoding import encode_figure

KSPACE_DIMS = 4
INCHES = 3.0
ACROSS = 4


class Part(NamedTuple):
    """One picture of an overview, in grey; stretched to the size of the others, or with square pixels."""

    title: str
    image: Tensor
    stretched: bool = False


def draw_overview(
    name: str,
    series: Mapping[str, Tensor],
    mask: Tensor | None,
    coil_sensitivities: Tensor | None,
) -> bytes:
    """Draw series, their sampling of k-space and their coils, as a PNG.

    Args:
        name: of the measurement.
        series: by name, magnitudes (time, height, width), all of one size; white is the maximum of the first.
        mask: boolean, of k-space (1, time, height, width); one of pixels (time, height, width) is not drawn.
        coil_sensitivities: complex, (coil, 1, height, width).
    """
    white = float(next(iter(series.values())).max())
    shown = [part for kind, one in series.items() for part in _frame_and_profile(kind, one)]
    measured = [*_sampling(mask), *_coils(coil_sensitivities)]
    height, width = next(iter(series.values())).shape[1:]
    rows = -(-(len(shown) + len(measured)) // ACROSS)
    figure = Figure(figsize=(ACROSS * INCHES, rows * (INCHES * height / width + 0.2) + 0.4), layout="constrained")
    figure.suptitle(drawable(name))
    grid = iter(figure.subplots(rows, ACROSS, squeeze=False).flat)
    for part in shown:
        _show(next(grid), part, white)
    for part in measured:
        _show(next(grid), part, None)
    for empty in grid:
        empty.axis("off")
    return encode_figure(figure, dpi=100)


def _frame_and_profile(name: str, series: Tensor) -> Iterator[Part]:
    time, height = series.shape[:2]
    yield Part(f"{name}, frame {time // 2 + 1} of {time}", series[time // 2])
    yield Part("its middle row over time", series[:, height // 2].T, stretched=True)


def _sampling(mask: Tensor | None) -> Iterator[Part]:
    if mask is not None and mask.ndim == KSPACE_DIMS:
        sampled = float(mask.float().mean())
        yield Part("sampled k-space of the frame", mask[0, mask.shape[1] // 2].float())
        yield Part(f"ky over frames, {sampled:.1%} sampled", mask[0].float().mean(1), stretched=True)


def _coils(sensitivities: Tensor | None) -> Iterator[Part]:
    if sensitivities is not None:
        yield from (Part(f"coil {number}", coil[0].abs()) for number, coil in enumerate(sensitivities, 1))


def _show(axes: Any, part: Part, white: float | None) -> None:
    axes.axis("off")
    brightness = {} if white is None else {"vmin": 0, "vmax": white}
    aspect = "auto" if part.stretched else "equal"
    axes.imshow(np.asarray(part.image), cmap="gray", aspect=aspect, interpolation="nearest", **brightness)
    axes.set_title(part.title, fontsize=9)
