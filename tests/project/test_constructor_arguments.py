"""Constructors refuse a value that cannot be used, in one line that names the argument."""

import inspect
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import datamodules
from datamodules import (
    CIFAR100,
    OCMR,
    BlackBorders,
    Carbon13,
    ChannelsApart,
    CineImages,
    CinePhantom,
    CMRxRecon,
    Compose,
    ConcatDataModule,
    EllipticPhantom,
    ImageFolder,
    IndianPines,
    NoisyPhantom,
    NoisySeries,
    PreparedFiles,
    RandomApply,
    RawScans,
    SamplePhotos,
    SimulatedUltrasound,
    SpectralCubes,
    SyntheticCubes,
    VideoFolder,
)
from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.dynamic_mri.simulation import add_noise, coil_sensitivities
from datamodules.loading.crops import Crops, Window
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.spokes import Spokes
from lowrank_unroll import networks, sampling
from lowrank_unroll.callbacks import PredictionWriter, SpectrumMonitor, TestReport, TrainingPictures
from lowrank_unroll.checks import check_at_least, check_not_negative, check_positive, check_share, check_sides
from lowrank_unroll.errors import DataError, UsageError, first_line
from lowrank_unroll.modules import SURE, ColorCS, LogSquaredError, SpectralCS
from lowrank_unroll.networks import (
    BART,
    CORONA,
    CRNN,
    DCCNN,
    LRPCA,
    MPPCA,
    CineVN,
    DynamicFeatureUnrolledNet,
    DynamicISTANetPlus,
    DynamicTLRNet,
    FeatureUnrolledNet,
    FrameDCCNN,
    ISTANetPlus,
    JotlasNet,
    LocallyLowRankNet,
    LocallyLowRankRecon,
    LowRankPlusSparseRecon,
    LplusSNet,
    MoDL,
    NonLocalLowRankNet,
    NonLocalLowRankRecon,
    NormalizedConvolution,
    NuclearNormRecon,
    OptimalShrinkageRecon,
    PrincipalComponentPursuit,
    ResidualUNet,
    SLRNet,
    SpectralNuclearNormRecon,
    T2LRNet,
    TensorNuclearNormRecon,
    TLRNet,
    UnrolledDnCNN,
    VarNet,
    WithLowRank,
)
from lowrank_unroll.operators import Mask, Superposition
from lowrank_unroll.prox import Blocks, LowRankProx, Patches
from lowrank_unroll.sampling import (
    EquispacedLines,
    GoldenAngleRadial,
    KtGaussian,
    OneOf,
    PseudoRadial,
    RandomLines,
    SharedPixels,
    Spiral,
    Uniform,
    UniformRadial,
    VariableDensity,
    Vista,
    WholeBands,
)

COUNT = "expected at least 1"
NOT_NEGATIVE = "expected at least 0"
AMOUNT = "expected a positive number"
ZERO_OR_MORE = "expected 0 or a positive number"
PROBABILITY = "expected a share, at least 0 and at most 1"
SHARE = "expected a share, above 0 and at most 1"
PLANE = r"expected \(height, width\), each at least 1"
SERIES = r"expected \(time, height, width\), each at least 1"
GRADIENTS = "expected one of 'exact', 'plain', 'zero', 'clip', 'taylor', 'pinv'"

COLOUR = (SamplePhotos, ImageFolder, CIFAR100)
SPECTRAL = (SpectralCubes, SyntheticCubes, IndianPines)
VIDEOS = (VideoFolder, SimulatedUltrasound)
DENOISING = (NoisyPhantom, NoisySeries)
DYNAMIC = (CinePhantom, CineImages, OCMR, CMRxRecon)
MEASURED = (RawScans, Carbon13)
LEARNED = (TLRNet, DynamicTLRNet, T2LRNet, LplusSNet, SLRNet, LocallyLowRankNet, NonLocalLowRankNet, JotlasNet)
ITERATIVE = (
    NuclearNormRecon,
    SpectralNuclearNormRecon,
    LowRankPlusSparseRecon,
    LocallyLowRankRecon,
    TensorNuclearNormRecon,
    NonLocalLowRankRecon,
)
THRESHOLDED = (NuclearNormRecon, SpectralNuclearNormRecon, TensorNuclearNormRecon)
LINES = (EquispacedLines, RandomLines, KtGaussian, Vista)
FASTER = {"acceleration": 4}

# The constructor, the argument that it refuses, its value, what is expected, and the arguments beside it.
FILES = {"root": Path(), "pattern": "*.h5", "split_of": str, "prepare": print, "key": ""}

REFUSED = [
    *((kind, "batch_size", value, COUNT) for kind in (*COLOUR, *SPECTRAL, *DYNAMIC, *MEASURED) for value in (0, -4)),
    *((kind, "num_workers", -1, NOT_NEGATIVE) for kind in (*COLOUR, *DYNAMIC, *MEASURED)),
    *((kind, "seed", -1, NOT_NEGATIVE) for kind in (*COLOUR, *DYNAMIC, *MEASURED)),
    # colour images
    *((kind, "ratio", value, SHARE) for kind in COLOUR for value in (0.0, -0.4, 1.5, math.nan)),
    *((kind, "patch_size", value, COUNT) for kind in COLOUR for value in (0, -32)),
    *((kind, "patches_per_image", 0, COUNT) for kind in COLOUR),
    *(
        (kind, name, value, PROBABILITY)
        for kind in COLOUR
        for name in ("per_channel", "noisy")
        for value in (-0.1, 1.1)
    ),
    *((kind, "noise", value, ZERO_OR_MORE) for kind in COLOUR for value in (-1.0, (5.0, 2.0), (0.0, math.nan))),
    (Compose, "augmentations", (), "expected at least one augmentation"),
    *((RandomApply, "share", value, SHARE, {"augmentation": BlackBorders()}) for value in (0.0, 1.5, math.nan)),
    (BlackBorders, "width", 0, COUNT),
    *((ChannelsApart, name, value, ZERO_OR_MORE) for name in ("shift", "grain") for value in (-1.0, math.nan)),
    # series with noise
    *((kind, "batch_size", 0, COUNT) for kind in DENOISING),
    *(
        (kind, name, value, AMOUNT)
        for kind in DENOISING
        for name in ("snr", "predict_noise")
        for value in (0.0, math.nan)
    ),
    *((kind, "snr", (6.0, 3.0), "expected the smaller number first") for kind in DENOISING),
    *((kind, "crops_per_cine", 0, COUNT) for kind in DENOISING),
    *((kind, "crop", (0, 8), PLANE) for kind in DENOISING),
    (NoisyPhantom, "size", (96, 96), SERIES),
    *((NoisyPhantom, name, 0, COUNT) for name in ("train_series", "val_series", "test_series")),
    *((kind, name, 0, COUNT) for kind in (MPPCA, OptimalShrinkageRecon) for name in ("window", "stride")),
    *((kind, "stride", 6, "expected at most window, 5") for kind in (MPPCA, OptimalShrinkageRecon)),
    *((OptimalShrinkageRecon, "noise", value, ZERO_OR_MORE) for value in (-1.0, math.inf)),
    *((SURE, "noise", value, AMOUNT) for value in (0.0, math.inf)),
    # cubes
    *((kind, name, 0, COUNT) for kind in SPECTRAL for name in ("bands", "patch_size", "patches_per_cube")),
    *((kind, "noise", value, ZERO_OR_MORE) for kind in SPECTRAL for value in (-0.1, math.nan)),
    *((SyntheticCubes, name, 0, COUNT) for name in ("materials", "train_cubes", "val_cubes", "test_cubes")),
    (SyntheticCubes, "size", (16, 64), r"expected \(band, height, width\), each at least 1"),
    # videos
    *((kind, "noise", value, ZERO_OR_MORE) for kind in VIDEOS for value in (-0.1, math.nan)),
    *((kind, name, 0, COUNT) for kind in VIDEOS for name in ("frames", "crops_per_video", "batch_size")),
    *((kind, "crop", value, PLANE) for kind in VIDEOS for value in ((0, 64), (64,))),
    *((SimulatedUltrasound, name, 0, COUNT) for name in ("vessels", "train_series", "val_series", "test_series")),
    (SimulatedUltrasound, "size", (16, 16), SERIES),
    (SimulatedUltrasound, "clutter", -1.0, ZERO_OR_MORE),
    (Superposition, "components", 0, COUNT),
    *((kind, "iterations", 0, COUNT) for kind in (CORONA, LRPCA, PrincipalComponentPursuit)),
    (CORONA, "gradient", "autograd", GRADIENTS),
    (LRPCA, "rank", 0, COUNT),
    *((LRPCA, name, value, AMOUNT) for name in ("first_threshold", "last_threshold") for value in (0.0, math.inf)),
    *((PrincipalComponentPursuit, name, value, AMOUNT) for name in ("weight", "step") for value in (0.0, math.nan)),
    # dynamic MRI
    *((kind, "coils", value, COUNT) for kind in DYNAMIC for value in (0, -8)),
    *((kind, "snr", value, f"{AMOUNT}, or null") for kind in DYNAMIC for value in (0.0, -30.0, math.nan, math.inf)),
    *((kind, "frames", 0, COUNT) for kind in DYNAMIC),
    *((kind, "crop", value, PLANE) for kind in DYNAMIC for value in ((0, 64), (64, -1), (64,), (16, 64, 64))),
    *((kind, "crops_per_cine", 0, COUNT) for kind in DYNAMIC),
    *((kind, "crop_strides", value, SERIES) for kind in DYNAMIC for value in ((0, 32, 32), (8, 32))),
    *((kind, "crops_per_cine", 4, r"but crop_strides \(8, 8, 8\)", {"crop_strides": (8, 8, 8)}) for kind in DYNAMIC),
    *((CinePhantom, "size", value, SERIES) for value in ((0, 96, 96), (16, 96, -96), (96, 96))),
    *((CinePhantom, name, 0, COUNT) for name in ("train_series", "val_series", "test_series")),
    *((EllipticPhantom, "size", value, SERIES) for value in ((0, 96, 96), (16, 96, -96), (96, 96))),
    *((EllipticPhantom, name, 0, COUNT) for name in ("train_series", "val_series", "test_series", "coils")),
    (EllipticPhantom, "snr", 0.0, AMOUNT),
    (ConcatDataModule, "parts", [], "expected at least one DataModule"),
    (ConcatDataModule, "batch_size", 0, COUNT, {"parts": [CinePhantom()]}),
    *((Spokes, name, 0, COUNT) for name in ("per_frame", "step")),
    *((Spokes, "unit", value, AMOUNT) for value in (0.0, -1.0, math.nan)),
    *((kind, "processes", value, COUNT) for kind in (OCMR, CMRxRecon, RawScans) for value in (0, -2)),
    *((kind, name, 0, COUNT) for kind in MEASURED for name in ("frames", "crops_per_cine")),
    (RawScans, "crop", 0, COUNT),
    *((Carbon13, "least_energy", value, PROBABILITY) for value in (-0.1, 1.1, math.nan)),
    *((kind, "virtual_coils", 0, COUNT) for kind in (OCMR, CMRxRecon)),
    (Acquisition, "coils", 0, COUNT, {"pattern": Uniform(0.5)}),
    (Acquisition, "snr", 0, AMOUNT, {"pattern": Uniform(0.5)}),
    (Crops, "crops_per_cine", 0, COUNT),
    (Crops, "crop_strides", (8, 0, 8), SERIES),
    # networks
    *((kind, "iterations", value, COUNT) for kind in (*LEARNED, *ITERATIVE) for value in (0, -3)),
    *((kind, "features", value, COUNT) for kind in LEARNED for value in (0, -16)),
    *((kind, "gradient", value, GRADIENTS) for kind in (*LEARNED, LowRankProx) for value in ("autograd", "")),
    (TLRNet, "channels", 0, COUNT),
    (LowRankProx, "matricization", "frames", "expected 'image', 'casorati'"),
    *((kind, "threshold", value, ZERO_OR_MORE) for kind in THRESHOLDED for value in (-0.1, math.nan, math.inf)),
    (BART, "options", "-m -p another_file", "'-p' is no option of `bart pics`"),
    (LocallyLowRankRecon, "block", 0, COUNT),
    *(
        (LocallyLowRankRecon, name, value, ZERO_OR_MORE)
        for name in ("low_rank", "temporal_tv", "spatial_tv")
        for value in (-0.1, math.nan, math.inf)
    ),
    *((DynamicFeatureUnrolledNet, name, 0, COUNT) for name in ("features", "iterations", "blocks")),
    *((FeatureUnrolledNet, name, 0, COUNT) for name in ("channels", "features", "iterations", "blocks")),
    *((kind, name, 0, COUNT) for kind in (CRNN, DynamicISTANetPlus) for name in ("features", "iterations")),
    *((ISTANetPlus, name, 0, COUNT) for name in ("channels", "features", "iterations")),
    (WithLowRank, "gradient", "autograd", GRADIENTS, {"network": CRNN(features=1)}),
    *((kind, name, 0, COUNT) for kind in (DCCNN, FrameDCCNN) for name in ("features", "iterations", "depth")),
    *((MoDL, name, 0, COUNT) for name in ("features", "iterations")),
    (MoDL, "depth", 1, "expected at least 2"),
    *((kind, name, 0, COUNT) for kind in (VarNet, CineVN) for name in ("features", "iterations", "pools")),
    *((ResidualUNet, name, 0, COUNT) for name in ("channels", "features", "pools")),
    *((UnrolledDnCNN, name, 0, COUNT) for name in ("channels", "features", "iterations", "depth")),
    (NonLocalLowRankNet, "channels", 0, COUNT),
    (NonLocalLowRankNet, "depth", 1, "expected at least 2"),
    *(
        (NonLocalLowRankRecon, name, value, "expected a fraction between 0 and 1")
        for name in ("first_threshold", "last_threshold")
        for value in (0.0, 1.0, -0.1, math.nan)
    ),
    *((Patches, name, 0, COUNT) for name in ("patch", "stride", "neighbors", "radius")),
    (Patches, "stride", 3, "expected at most patch, 2"),
    (Blocks, "block", 0, COUNT),
    (Blocks, "offsets", ((0, 8),), "numbers from 0 to 7"),
    *(
        (NormalizedConvolution, "widths", value, "expected positive numbers")
        for value in ((), (2.0, -1.0), (math.nan,))
    ),
    *((LowRankPlusSparseRecon, "low_rank_threshold", value, ZERO_OR_MORE) for value in (-0.1, math.nan, math.inf)),
    *((LowRankPlusSparseRecon, "sparse_threshold", value, ZERO_OR_MORE) for value in (-0.1, math.nan, math.inf)),
    # sampling patterns
    *(
        (kind, "ratio", value, SHARE)
        for kind in (Uniform, SharedPixels, WholeBands, VariableDensity)
        for value in (0, -0.1, 1.5, math.nan)
    ),
    *((Uniform, "ratio", value, "expected the smallest share first") for value in ((0.6, 0.2), (1.0, 0.9))),
    (OneOf, "patterns", (), "expected one pattern at least"),
    *((VariableDensity, "power", value, ZERO_OR_MORE, {"ratio": 0.5}) for value in (-1, math.nan, math.inf)),
    *((VariableDensity, "center", value, "expected a share, from 0 to 1", {"ratio": 0.5}) for value in (-0.1, 1.5)),
    *((PseudoRadial, "lines", value, COUNT) for value in (0, -8)),
    *((kind, "acceleration", value, "expected .* at least 1") for kind in LINES for value in (0.5, math.inf, math.nan)),
    *((kind, "center_lines", -1, NOT_NEGATIVE, FASTER) for kind in (EquispacedLines, RandomLines, KtGaussian)),
    *((kind, "deviation", value, AMOUNT, FASTER) for kind in (KtGaussian, Vista) for value in (0, -0.1, math.inf)),
    *((Vista, "background", value, SHARE, FASTER) for value in (0, 1.1)),
    *((kind, "spokes", value, COUNT) for kind in (GoldenAngleRadial, UniformRadial) for value in (0, -8)),
    *((kind, "samples", 0, COUNT, {"spokes": 3}) for kind in (GoldenAngleRadial, UniformRadial)),
    (GoldenAngleRadial, "tiny", 0, COUNT, {"spokes": 3}),
    (Spiral, "interleaves", 0, COUNT),
    (Spiral, "samples", 0, COUNT, {"interleaves": 3}),
    *((Spiral, name, value, AMOUNT, {"interleaves": 3}) for name in ("turns", "power") for value in (0.0, math.inf)),
    # modules and callbacks
    *((LogSquaredError, "floor", value, AMOUNT) for value in (0, -1e-8, math.inf)),
    *((ColorCS, "tile_size", value, f"{COUNT}, or null", {"network": nn.Identity()}) for value in (0, -32)),
    (SpectralCS, "tile_size", 0, f"{COUNT}, or null", {"network": nn.Identity()}),
    *((SpectrumMonitor, name, 0, COUNT) for name in ("every_n_steps", "matrices")),
    (TrainingPictures, "samples", -1, NOT_NEGATIVE),
    (TrainingPictures, "every_n_validations", 0, COUNT),
    (TestReport, "panels", 0, COUNT),
    (TestReport, "cines", -1, NOT_NEGATIVE),
    (PreparedFiles, "processes", 0, COUNT, FILES),
    (PredictionWriter, "image_formats", ["jpg"], "expected one or more of 'png', 'comparison.png', 'tiff'"),
    (PredictionWriter, "series_formats", [], "expected one or more of 'h5'"),
]


def shown(value):
    """Return a value as messages show it."""
    return repr(value) if isinstance(value, str | list) else str(value)


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected", "others"),
    [
        pytest.param(*row, *([{}] if len(row) == 4 else []), id=f"{row[0].__name__}-{row[1]}-{row[2]}")
        for row in REFUSED
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_one_line(kind, name, value, expected, others, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=expected) as caught:
        kind(**{name: value} | others)
    message = str(caught.value)
    assert message.startswith(f"{name} is {shown(value)}, ")
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_the_frames_of_a_crop_are_called_as_the_user_calls_them():
    with pytest.raises(ValueError, match=r"^frames is 0, expected at least 1$"):
        Crops(Window(time=0))


@pytest.mark.parametrize("room", [datamodules, networks, sampling])
def test_every_class_that_a_config_can_name_is_in_the_table(room):
    kinds = [kind for _, kind in inspect.getmembers(room, inspect.isclass) if not inspect.isabstract(kind)]
    with_arguments = {kind for kind in kinds if kind.__init__ not in {nn.Module.__init__, object.__init__}}
    assert with_arguments <= {row[0] for row in REFUSED}


def test_what_is_smallest_is_taken():
    phantom = CinePhantom(
        size=(1, 1, 1), train_series=1, val_series=1, test_series=1, coils=1, snr=1e-9, frames=1, crop=(1, 1),
        batch_size=1, num_workers=0, seed=0,
    )  # fmt: skip
    assert phantom.crops.window == Window(1, 1, 1)
    SamplePhotos(ratio=1.0, patch_size=1, patches_per_image=1)
    OCMR(processes=1, raw_coils=Coils(virtual=1), crop_strides=(1, 1, 1))
    VariableDensity(1.0, power=0.0, center=0.0)
    RandomLines(1.0, center_lines=0)
    ColorCS(TLRNet(), tile_size=1)
    TestReport(panels=1, cines=0)


@pytest.mark.parametrize(
    "network",
    [
        TLRNet(channels=1, features=1, iterations=1),
        DynamicTLRNet(features=1, iterations=1),
        LplusSNet(features=1, iterations=1),
        SLRNet(features=1, iterations=1),
        NuclearNormRecon(threshold=0.0, iterations=1),
        LowRankPlusSparseRecon(0.0, 0.0, iterations=1),
    ],
    ids=lambda network: type(network).__name__,
)
def test_the_smallest_network_reconstructs_the_smallest_image(network):
    dtype = torch.complex64 if network.image_is_complex else torch.float32
    image = torch.ones(1, 1, 1, 1, dtype=dtype)
    reconstruction = network(image, Mask(torch.ones(1, 1, 1, 1, dtype=torch.bool)))
    assert reconstruction.shape == image.shape
    assert reconstruction.isfinite().all()


def test_simulations_refuse_the_same():
    with pytest.raises(ValueError, match=r"^coils is 0, expected at least 1$"):
        coil_sensitivities(0, 4, 4, torch.Generator())
    with pytest.raises(ValueError, match=r"^snr is -1, expected a positive number$"):
        add_noise(torch.ones(1, 1, 2, 2, dtype=torch.complex64), -1, torch.Generator())


class TestChecks:
    def test_the_first_that_cannot_be_used_is_named(self):
        with pytest.raises(ValueError, match=r"^b is 0, expected at least 1$"):
            check_at_least(1, a=1, b=0, c=-1)

    @pytest.mark.parametrize("check", [check_positive, check_not_negative, check_share])
    def test_none_stands_for_a_default(self, check):
        check(a=None)
        check_at_least(1, a=None)
        check_sides("height, width", a=None)

    @pytest.mark.parametrize(
        ("check", "last", "beyond"),
        [
            (check_share, 1, math.nextafter(1, 2)),
            (check_share, 1e-9, 0),
            (check_not_negative, -0.0, -1e-300),
            (check_positive, 1e-300, 0),
            (partial(check_sides, "height, width"), [1, 1], [1, 0]),
        ],
    )
    def test_limits(self, check, last, beyond):
        check(a=last)
        with pytest.raises(ValueError, match=r"^a is "):
            check(a=beyond)


class TestErrors:
    def test_both_are_value_errors_but_not_of_each_other(self):
        assert issubclass(UsageError, ValueError)
        assert issubclass(DataError, ValueError)
        assert not issubclass(UsageError, DataError)
        assert not issubclass(DataError, UsageError)

    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (ValueError("one"), "one"),
            (OSError("\n one \ntwo\nthree"), "one "),
            (AssertionError(), "AssertionError"),
            (RuntimeError(" \n"), "RuntimeError"),
        ],
    )
    def test_first_line(self, error, line):
        assert first_line(error) == line


def test_nothing_to_predict_is_wrong_usage():
    for data, argument in ((SamplePhotos(), "predict_images"), (CinePhantom(), "predict_kspace")):
        with pytest.raises(UsageError, match=f"--data.{argument}"):
            data.dataset("predict")


def test_what_does_not_fit_is_refused_before_a_sample_is_made(tmp_path):
    with pytest.raises(UsageError, match=r"^image retina is \(800, 800\), smaller than patch_size 801: .*patch_size$"):
        SamplePhotos(patch_size=801).dataset("val")
    data = CinePhantom(size=(2, 8, 8), train_series=1, val_series=1, test_series=1, root=tmp_path, frames=3)
    data.prepare_data()
    with pytest.raises(UsageError, match=r"^series train/0000 is \(2, 8, 8\) .* a crop of 3 in time .*--data\.frames$"):
        data.dataset("train")
