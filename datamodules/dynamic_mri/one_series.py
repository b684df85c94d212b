"""One series of images measured, for a notebook."""

import numpy as np
import numpy.typing as npt

from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.measured_cines import MeasuredCines
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial, SamplingPattern


def measure_series(
    series: npt.ArrayLike,
    pattern: SamplingPattern = PseudoRadial(lines=16),  # noqa: B008  immutable
    *,
    coils: int = 1,
    snr: float | None = None,
    coil_sensitivities: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Sample:
    """Measure a series of images as a scanner would, as the DataModules of dynamic MRI do.

    Args:
        series: (time, height, width), magnitudes, which are given a smooth phase, or complex; in any unit.
        pattern: which values of k-space are sampled.
        coils: how many receive coils are simulated; one sees every pixel alike.
        snr: root mean square of the image over the standard deviation of the noise in each of its real and imaginary
            part; None for no noise.
        coil_sensitivities: (coil, height, width), complex, instead of simulated ones.
        seed: of phase, coils, noise and mask.

    Returns:
        The sample without a batch dim; its k-space is (coil, time, height, width), its target (time, height, width),
        both complex64 and divided by ``scale``.

    Raises:
        ValueError: if an array is of another shape, a number is too small, or the pattern does not fit.
    """
    check_at_least(0, seed=seed)
    frames = np.asarray(series)
    if frames.ndim != 3 or not frames.size:  # noqa: PLR2004
        raise ValueError(f"series is {frames.shape}, expected (time, height, width)")
    maps = None if coil_sensitivities is None else np.asarray(coil_sensitivities, np.complex64)
    if maps is not None and (maps.ndim != 3 or maps.shape[1:] != frames.shape[1:]):  # noqa: PLR2004
        raise ValueError(f"coil_sensitivities are {maps.shape}, expected (coil, height, width) of the series' frames")
    acquisition = Acquisition(pattern, coils, snr)
    return MeasuredCines([Cine(frames, "series", maps)], acquisition, "semi-synthetic", (seed,))[0]
