"""The public functions and odd arguments: each call gives the right number, or an error of one line that names it."""

import math
import re

import pytest
import torch

from lowrank_unroll import metrics
from lowrank_unroll.linalg import (
    Firm,
    Hard,
    SchattenP,
    Soft,
    Truncation,
    WeightedSoft,
    casorati,
    effective_rank,
    fold,
    relative_gaps,
    relative_spectrum,
    singular_value_threshold,
    spectral_function,
    svd,
    tensor_singular_value_threshold,
    ties,
    unfold,
)
from lowrank_unroll.metrics import legacy
from lowrank_unroll.networks import (
    DynamicTLRNet,
    LowRankPlusSparseRecon,
    LplusSNet,
    NuclearNormRecon,
    SLRNet,
    T2LRNet,
    TLRNet,
)
from lowrank_unroll.operators import (
    CoilSensitivity,
    Fourier,
    Mask,
    SampledFourier,
    SingleCoil,
    coil_operator,
    gradient_step,
    project_onto_measurement,
    proximal_step,
    solve,
)
from lowrank_unroll.prox import LowRankProx, soft_threshold
from lowrank_unroll.sampling import EquispacedLines, PseudoRadial, RandomLines, Uniform, VariableDensity, Vista

EYE = torch.eye(3)
NAN, INF = math.nan, math.inf


def eye(dtype=torch.float32, device="cpu"):
    return torch.eye(3, dtype=dtype, device=device)


def with_value(value):
    A = torch.ones(2, 3, 3)
    A[1, 0, 2] = value
    return A


def ones(*shape, dtype=torch.float32):
    return torch.ones(shape, dtype=dtype)


def generator():
    return torch.Generator().manual_seed(0)


class Shape(tuple):
    """What a result that is known by its shape alone has."""


def refused(pattern, error=ValueError):
    """An error of one line."""
    return error, pattern


FINITE = refused("holds NaN or infinity")
MATRICES = refused(r"expected matrices, shape \(..., m, n\), got shape \(3,\)")
FLOATING = refused(r"got torch\.int64; convert with A\.float", TypeError)

# What is called, and what comes of it: a tensor or number, a shape, or an error that names the argument and its value.
LINALG = {
    "half": (lambda: singular_value_threshold(eye(torch.float16), 0.5), eye(torch.float16) / 2),
    "bfloat": (lambda: singular_value_threshold(eye(torch.bfloat16), 0.5), eye(torch.bfloat16) / 2),
    "double": (lambda: singular_value_threshold(eye(torch.float64), 0.3), 0.7 * eye(torch.float64)),
    "complex": (lambda: singular_value_threshold(1j * eye(torch.complex64), 0.5), 0.5j * eye(torch.complex64)),
    "integer": (lambda: singular_value_threshold(torch.ones(3, 3, dtype=torch.long), 0.5), FLOATING),
    "boolean": (lambda: singular_value_threshold(EYE.bool(), 0.5), refused("got torch.bool", TypeError)),
    "vector": (lambda: singular_value_threshold(ones(3), 0.5), MATRICES),
    "empty batch": (lambda: singular_value_threshold(ones(0, 3, 3), 0.5), ones(0, 3, 3)),
    "no rows": (lambda: singular_value_threshold(ones(2, 0, 3), 0.5, relative=True), ones(2, 0, 3)),
    "NaN": (lambda: singular_value_threshold(with_value(NAN), 0.5), refused(r"batch index \[\(1,\)\] holds NaN")),
    "infinity": (lambda: singular_value_threshold(with_value(INF), 0.5), FINITE),
    "zero": (lambda: singular_value_threshold(torch.zeros(3, 3), 0.5, relative=True), torch.zeros(3, 3)),
    "huge": (lambda: singular_value_threshold(1e37 * EYE, 0.5e37), 0.5e37 * EYE),
    "tiny": (lambda: singular_value_threshold(1e-36 * EYE, 0.5e-36), 0.5e-36 * EYE),
    "one by one": (lambda: singular_value_threshold(ones(1, 1), 0.25), ones(1, 1) * 0.75),
    "one value for no batch": (lambda: singular_value_threshold(EYE, ones(1)), refused(r"threshold has shape \(1,\)")),
    "negative": (lambda: singular_value_threshold(EYE, -0.5), refused("threshold is -0.5, expected a non-negative")),
    "negative tensor": (lambda: singular_value_threshold(EYE, torch.tensor(-0.5)), refused("threshold is -0.5")),
    "negative in a batch": (
        lambda: singular_value_threshold(ones(2, 3, 3), torch.tensor([1, -2.0])),
        refused("is -2,"),
    ),
    "NaN threshold": (lambda: singular_value_threshold(EYE, NAN), refused("threshold is nan")),
    "NaN tensor": (lambda: singular_value_threshold(EYE, torch.tensor(NAN)), refused("threshold is nan")),
    "infinite": (lambda: singular_value_threshold(EYE, INF), torch.zeros(3, 3)),
    "infinite fraction": (lambda: singular_value_threshold(EYE, INF, relative=True), refused("is inf, .*fraction")),
    "complex threshold": (lambda: singular_value_threshold(EYE, torch.tensor(1j)), refused("complex64", TypeError)),
    "complex number": (lambda: singular_value_threshold(EYE, 1j), refused("threshold is 1j", TypeError)),
    "text threshold": (lambda: singular_value_threshold(EYE, "half"), refused("threshold is 'half'", TypeError)),
    "integer threshold": (lambda: singular_value_threshold(4 * EYE, torch.tensor(1)), 3 * EYE),
    "double threshold": (lambda: singular_value_threshold(EYE, torch.tensor(0.5).double()), EYE / 2),
    "thresholds beyond the batch": (
        lambda: singular_value_threshold(EYE, ones(5)),
        refused(r"threshold has shape \(5,\)"),
    ),
    "thresholds of a batch": (
        lambda: singular_value_threshold(ones(2, 1, 1), torch.tensor([0.25, 0.5])),
        torch.tensor([0.75, 0.5]).reshape(2, 1, 1),
    ),
    "unknown driver": (lambda: singular_value_threshold(EYE, 0.5, driver="qr"), refused("driver is 'qr'")),
    "no values": (lambda: singular_value_threshold(eye(device="meta"), 0.5), Shape((3, 3))),
    "firm": (lambda: spectral_function(EYE, Firm(0.5, 3.0)), 0.75 * EYE),
    "firm with a jump": (
        lambda: spectral_function(EYE, Firm(0.5, 1.0)),
        refused("concavity is 1, expected .* above 1"),
    ),
    "negative soft": (lambda: spectral_function(EYE, Soft(-1.0)), refused("threshold is -1,")),
    "negative hard": (lambda: spectral_function(EYE, Hard(torch.tensor(-1.0))), refused("threshold is -1,")),
    "power above one": (lambda: spectral_function(EYE, SchattenP(0.1, power=2)), refused(r"power is 2, .*\(0, 1\]")),
    "no power": (lambda: spectral_function(EYE, SchattenP(0.1, power=0.0)), refused("power is 0,")),
    "rank": (
        lambda: spectral_function(torch.diag(torch.tensor([3.0, 2, 1])), Truncation(1)),
        torch.diag(torch.tensor([3.0, 0, 0])),
    ),
    "no rank": (lambda: spectral_function(EYE, Truncation(0)), torch.zeros(3, 3)),
    "more than full rank": (lambda: spectral_function(EYE, Truncation(9)), EYE),
    "broken rank": (lambda: spectral_function(EYE, Truncation(1.5)), refused("rank is 1.5, expected a whole number")),
    "negative rank": (lambda: spectral_function(EYE, Truncation(-1)), refused("rank is -1,")),
    "weights of another size": (
        lambda: spectral_function(EYE, WeightedSoft(ones(4))),
        refused(r"weights has shape \(4,\)"),
    ),
    "negative weights": (lambda: spectral_function(EYE, WeightedSoft(-ones(3))), refused("weights is -1,")),
    "svd of integers": (lambda: svd(torch.ones(3, 3, dtype=torch.long)), FLOATING),
    "svd of a vector": (lambda: svd(ones(3)), MATRICES),
    "svd of NaN": (lambda: svd(with_value(NAN)), FINITE),
    "svd of none": (lambda: svd(ones(0, 3, 2))[1], ones(0, 2)),
    "svd by an unknown rule": (lambda: svd(EYE, "exact"), refused("gradient is 'exact', expected one of 'plain'")),
    "svd in half": (lambda: svd(eye(torch.float16))[1], ones(3)),
    "tensor of integers": (
        lambda: tensor_singular_value_threshold(torch.ones(2, 3, 3, dtype=torch.long), 0.1),
        FLOATING,
    ),
    "matrix as tensor": (lambda: tensor_singular_value_threshold(EYE, 0.1), refused("dim is -3 of a tensor of 2 dims")),
    "unknown dim": (lambda: tensor_singular_value_threshold(ones(4, 2, 3, 3), 0.1, dim=0), refused("dim is 0")),
    "tensor of one slice": (lambda: tensor_singular_value_threshold(EYE[None], 0.25), 0.75 * EYE[None]),
    "casorati": (lambda: casorati(ones(2, 3, 4, 5)), Shape((2, 3, 20))),
    "unknown mode": (lambda: unfold(ones(2, 3, 4), 3), refused("mode 3 of a tensor of 3 dims")),
    "fold": (
        lambda: fold(unfold(torch.arange(24.0).reshape(2, 3, 4), 1), 1, (2, 3, 4)),
        torch.arange(24.0).reshape(2, 3, 4),
    ),
    "spectrum of zero": (lambda: relative_spectrum(torch.zeros(3)), torch.zeros(3)),
    "rank of zero": (lambda: effective_rank(torch.zeros(3)), torch.tensor(0.0)),
    "gaps of one": (lambda: relative_gaps(ones(1)), ones(0)),
    "ties of zero": (lambda: ties(torch.zeros(3)), torch.tensor([True, True])),
}
PROX = {
    "unknown gradient": (lambda: LowRankProx(gradient="exat"), refused("gradient is 'exat', expected one of 'exact'")),
    "unknown matrices": (lambda: LowRankProx(matricization="rows"), refused("matricization is 'rows'")),
    "integers": (lambda: LowRankProx()(torch.ones(3, 3, dtype=torch.long)), Shape((3, 3))),
    "vector": (lambda: LowRankProx()(ones(3)), MATRICES),
    "half": (lambda: LowRankProx(threshold_logit=-INF)(eye(torch.float16)), EYE),
    "soft of zero": (lambda: soft_threshold(torch.zeros(2), 0.5), torch.zeros(2)),
    "soft of complex": (lambda: soft_threshold(torch.tensor([2j, 0.1]), 0.5), torch.tensor([1.5j, 0])),
}
SAMPLING = {
    "all": (lambda: Uniform(1.0)((2, 3), generator()), ones(2, 3, dtype=torch.bool)),
    "ratio above one": (lambda: Uniform(1.5), refused("ratio is 1.5, expected a share")),
    "NaN ratio": (lambda: Uniform(NAN), refused("ratio is nan")),
    "no lines": (lambda: PseudoRadial(0), refused("lines is 0, expected at least 1")),
    "acceleration below one": (lambda: RandomLines(0.5), refused(r"acceleration is 0\.5")),
    "too wide a centre": (
        lambda: RandomLines(4, center_lines=99)((2, 8, 8), generator()),
        refused("center_lines is 99"),
    ),
    "no frame": (lambda: EquispacedLines(2)((0, 8, 8), generator()), refused(r"shape is \(0, 8, 8\)")),
    "no width": (lambda: Vista(4)((8,), generator()), refused(r"shape is \(8,\), expected")),
    "density of an image": (lambda: VariableDensity(0.5)((8, 8), generator()).float().mean(), torch.tensor(0.5)),
}
CATALOGUE = {
    f"{room}: {name}": row
    for room, rows in {"linalg": LINALG, "prox": PROX, "sampling": SAMPLING}.items()
    for name, row in rows.items()
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_right_number_or_one_line(name):
    call, expected = CATALOGUE[name]
    if isinstance(expected, tuple) and not isinstance(expected, Shape):
        error, pattern = expected
        with pytest.raises(error) as refusal:
            call()
        assert "\n" not in str(refusal.value)
        assert re.search(pattern, str(refusal.value)), refusal.value
    elif isinstance(expected, Shape):
        assert call().shape == expected
    else:
        found = call()
        assert found.shape == expected.shape
        unit = expected.abs().max() if expected.is_floating_point() and expected.any() else 1
        torch.testing.assert_close(found / unit, expected / unit, rtol=1e-5, atol=1e-6)
