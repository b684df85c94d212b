"""Odd arguments of public functions: each call gives the right number, or an error of one line that names them."""

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
    effective_rank,
    relative_gaps,
    relative_spectrum,
    singular_value_threshold,
    spectral_function,
    svd,
    tensor_singular_value_threshold,
    ties,
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
    solve_cg,
)
from lowrank_unroll.prox import LowRankProx, casorati, fold, soft_threshold, unfold
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
    "no values": (lambda: singular_value_threshold(eye(device="meta"), 0.5), torch.Size((3, 3))),
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
    "casorati": (lambda: casorati(ones(2, 3, 4, 5)), torch.Size((2, 3, 20))),
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
    "integers": (lambda: LowRankProx()(torch.ones(3, 3, dtype=torch.long)), torch.Size((3, 3))),
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
MASK = torch.tensor([[True, False], [True, True]])
IMAGE = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
SERIES = torch.ones(1, 3, 4, 4, dtype=torch.complex64)
MAPS = torch.full((1, 2, 1, 4, 4), 0.6 + 0j)
COILS = CoilSensitivity(MAPS)
BROADCASTS = r"expected a shape that broadcasts to \(2, 2\)"
OPERATORS = {
    "boolean mask": (lambda: Mask(MASK)(IMAGE), torch.tensor([[1.0, 0], [3, 4]])),
    "mask of numbers": (lambda: Mask(MASK.double())(IMAGE), torch.tensor([[1.0, 0], [3, 4]])),
    "mask of 255": (lambda: Mask(255 * MASK.byte()), refused("mask holds 255, expected booleans")),
    "mask of halves": (lambda: Mask(MASK / 2), refused("mask holds 0.5, expected booleans")),
    "mask of NaN": (lambda: Mask(MASK * NAN), refused("mask holds nan")),
    "complex mask": (lambda: Mask(MASK + 0j), refused("mask is torch.complex64", TypeError)),
    "mask of another size": (lambda: Mask(ones(5).bool())(IMAGE), refused(r"mask is \(5,\), " + BROADCASTS)),
    "mask that would widen": (
        lambda: Mask(ones(3, 2, 2).bool())(IMAGE),
        refused(r"mask is \(3, 2, 2\), " + BROADCASTS),
    ),
    "Fourier of real": (lambda: Fourier()(ones(2, 2)), torch.tensor([[0, 0], [0, 2]]) + 0j),
    "Fourier of integers": (lambda: Fourier()(torch.ones(2, 2, dtype=torch.long)), torch.tensor([[0, 0], [0, 2]]) + 0j),
    "Fourier of a vector": (lambda: Fourier()(ones(2)), refused(r"\(2,\)")),
    "sampled Fourier": (lambda: SampledFourier(ones(4, 4).bool()).adjoint(SERIES).norm(), SERIES.norm()),
    "coils": (lambda: COILS.gram(SERIES), 0.72 * SERIES),
    "wrong number of coils": (lambda: COILS.adjoint(SERIES[:, None]), refused("has 1 coils in its second dim")),
    "sensitivities of few dims": (lambda: CoilSensitivity(MAPS[:, :, 0]), refused(r"\(1, 2, 4, 4\)")),
    "no sensitivities": (lambda: coil_operator(None)(SERIES), SERIES[:, None]),
    "several coils for one": (lambda: SingleCoil().adjoint(COILS(SERIES)), refused("has 2 coils")),
    "negative weight": (lambda: proximal_step(SERIES, COILS(SERIES), COILS, -1.0), refused("weight is -1")),
    "NaN weight": (lambda: proximal_step(SERIES, COILS(SERIES), COILS, NAN), refused("weight is nan")),
    "no weight": (lambda: proximal_step(SERIES, COILS(SERIES), COILS, 0.0), refused("weight is 0")),
    "weight": (lambda: proximal_step(0 * SERIES, COILS(SERIES), COILS, 0.72), SERIES / 2),
    "NaN measured": (
        lambda: proximal_step(SERIES, NAN * COILS(SERIES), COILS, 0.5),
        torch.full_like(SERIES, complex(NAN, NAN)),
    ),
    "no isometry": (lambda: project_onto_measurement(SERIES, COILS(SERIES), COILS), refused("not a partial isometry")),
    "projection": (
        lambda: project_onto_measurement(IMAGE, 9 * IMAGE * MASK, Mask(MASK)),
        torch.tensor([[9.0, 2], [27, 36]]),
    ),
    "measurement of another batch": (lambda: gradient_step(IMAGE, ones(3, 2, 2), Mask(MASK)), refused(r"\(3, 2, 2\)")),
    "solve_cg nothing": (lambda: solve_cg(lambda x: 2 * x, torch.zeros(1, 3)), torch.zeros(1, 3)),
    "solve_cg": (lambda: solve_cg(lambda x: 2 * x, ones(1, 3)), ones(1, 3) / 2),
}
SMALL = {"features": 2, "iterations": 1}
COLOUR, KSPACE = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 2, 8, 8, dtype=torch.complex64)
EVERYTHING, SAMPLED = Mask(ones(1).bool()), SampledFourier(ones(8, 8).bool()) @ SingleCoil()
NETWORKS = {
    "no iteration": (lambda: TLRNet(iterations=0), refused("iterations is 0, expected at least 1")),
    "no features": (lambda: T2LRNet(features=0), refused("features is 0, expected at least 1")),
    "negative threshold": (lambda: NuclearNormRecon(-1.0), refused("threshold is -1")),
    "image": (lambda: TLRNet(**SMALL)(COLOUR, EVERYTHING), COLOUR),
    "unbatched image": (
        lambda: TLRNet(**SMALL)(COLOUR[0], EVERYTHING),
        refused(r"\(3, 8, 8\), expected \(batch, channel"),
    ),
    "grey image": (lambda: TLRNet(**SMALL)(COLOUR[:, :1], EVERYTHING), refused("1")),
    "complex image": (lambda: TLRNet(**SMALL)(COLOUR + 0j, EVERYTHING), refused("complex64, expected real", TypeError)),
    "double image": (
        lambda: TLRNet(**SMALL)(COLOUR.double(), EVERYTHING),
        refused("float64, expected real", TypeError),
    ),
    "integer image": (
        lambda: TLRNet(**SMALL)((255 * COLOUR).byte(), EVERYTHING),
        refused("uint8, expected", TypeError),
    ),
    "no image": (
        lambda: TLRNet(**SMALL)(COLOUR[:0], EVERYTHING),
        refused(r"\(0, 3, 8, 8\), expected at least one value"),
    ),
    **{
        f"{network.__name__}, {name}": (call, refused(pattern, error))
        for network in (DynamicTLRNet, T2LRNet, LplusSNet, SLRNet)
        for name, call, pattern, error in (
            ("real", lambda network=network: network(**SMALL)(KSPACE.real, SAMPLED), "expected complex", TypeError),
            ("unbatched", lambda network=network: network(**SMALL)(KSPACE[0], SAMPLED), "expected|coils", ValueError),
            (
                "double",
                lambda network=network: network(**SMALL)(KSPACE.to(torch.complex128), SAMPLED),
                "complex128",
                TypeError,
            ),
        )
    },
    "zeros": (lambda: LowRankPlusSparseRecon(iterations=2)(0 * KSPACE, SAMPLED), 0 * KSPACE[:, 0]),
}
R = torch.rand(2, 3, 16, 16)
SAME = {
    "psnr": metrics.psnr, "ser": metrics.ser, "mse": metrics.mse, "nmse": metrics.nmse, "ssim": metrics.ssim,
    "hfen": metrics.hfen, "frame_ssim": metrics.frame_ssim, "legacy ssim": legacy.ssim, "legacy mse": legacy.mse,
}  # fmt: skip
METRICS = {
    **{f"{name} of other shapes": (lambda f=f: f(R[:1], R), refused(r"\(1, 3, 16, 16\)")) for name, f in SAME.items()},
    **{
        f"{name} of integers": (lambda f=f: f(R.long(), R.long()), refused("int64", TypeError))
        for name, f in SAME.items()
    },
    **{
        f"{name} of equal images": (lambda f=f: f(R, R) == f(R, R), torch.tensor([True, True]))
        for name, f in SAME.items()
    },
    "psnr of black": (lambda: metrics.psnr(R, 0 * R).isnan(), torch.tensor([True, True])),
    "psnr of tiny": (lambda: metrics.psnr(1e-21 * R.flip(0), 1e-21 * R), metrics.psnr(R.flip(0), R)),
    "ssim of complex": (lambda: metrics.ssim(R + 0j, R + 0j), refused("complex", TypeError)),
    "ssim of few pixels": (lambda: metrics.ssim(R[..., :4, :4], R[..., :4, :4]), refused(r"\(2, 3, 4, 4\)")),
    "legacy ssim of equal greys": (lambda: legacy.ssim(0 * R + 0.9, 0 * R + 0.9), ones(2)),
}
ROOMS = {
    "linalg": LINALG,
    "prox": PROX,
    "sampling": SAMPLING,
    "operators": OPERATORS,
    "networks": NETWORKS,
    "metrics": METRICS,
}
CATALOGUE = {f"{room}: {name}": row for room, rows in ROOMS.items() for name, row in rows.items()}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_right_number_or_one_line(name):
    call, expected = CATALOGUE[name]
    if isinstance(expected, tuple) and not isinstance(expected, torch.Size):
        error, pattern = expected
        with pytest.raises(error) as refusal:
            call()
        assert "\n" not in str(refusal.value)
        assert re.search(pattern, str(refusal.value)), refusal.value
    elif isinstance(expected, torch.Size):
        assert call().shape == expected
    else:
        found = call()
        assert found.shape == expected.shape
        unit = expected.abs().max() if expected.is_floating_point() and expected.any() else 1
        torch.testing.assert_close(found / unit, expected / unit, rtol=1e-5, atol=1e-6, equal_nan=True)
