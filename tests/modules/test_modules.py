import numpy as np
import pytest
import torch
from conftest import quiet_trainer
from torch.utils.data import DataLoader

from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.photographs.image_files import Images
from datamodules.photographs.masked_images import MaskedImages
from lowrank_unroll.modules import ColorCS, DynamicMRI, NonFiniteGradientError, ReconstructionModule, completion
from lowrank_unroll.modules.series import PROFILE_GAP
from lowrank_unroll.modules.tiling import reconstruct_tiles
from lowrank_unroll.networks import (
    DynamicTLRNet,
    LplusSNet,
    NonLocalLowRankNet,
    NuclearNormRecon,
    SLRNet,
    T2LRNet,
    TLRNet,
)
from lowrank_unroll.operators import Mask
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial


class ZeroFilling(torch.nn.Module):
    """A network that returns the adjoint and remembers the sizes it was called with."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, measurement, operator):
        self.sizes.append(tuple(measurement.shape[-2:]))
        return operator.adjoint(measurement)


def photos(*sizes):
    generator = np.random.default_rng(0)
    pixels = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return Images(pixels, [f"photo{index}" for index in range(len(pixels))])


@pytest.mark.parametrize("size", [(32, 32), (40, 56), (33, 17), (9, 70)])
@pytest.mark.parametrize("batch", [1, 3])
def test_tiles_cover_images_of_any_size(size, batch):
    mask = torch.rand(batch, 3, *size) < 0.5
    measurement = torch.rand(batch, 3, *size) * mask
    network = ZeroFilling()
    assert torch.allclose(reconstruct_tiles(network, measurement, mask, 16), measurement, atol=1e-6)
    assert set(network.sizes) == {(min(16, size[0]), min(16, size[1]))}


def test_an_image_of_one_tile_is_reconstructed_as_a_whole():
    mask = torch.rand(2, 3, 16, 16) < 0.5
    measurement, network = torch.rand(2, 3, 16, 16) * mask, TLRNet(iterations=2, features=4)
    assert torch.allclose(
        reconstruct_tiles(network, measurement, mask, 16), network(measurement, Mask(mask)), atol=1e-6
    )


@pytest.mark.parametrize("tile", range(5))
def test_no_seam_shows_where_a_tile_begins_or_ends(tile):
    shades = iter([float(number == tile) for number in range(5)])  # one tile is white, the others are black
    network = lambda measurement, operator: torch.full_like(measurement, next(shades))  # noqa: E731
    ones = torch.ones(1, 1, 512, 1400)
    row = reconstruct_tiles(network, ones, ones > 0, 512)[0, 0, 256]
    inside = row.nonzero().flatten()
    first, last = int(inside[0]), int(inside[-1])
    assert row.max() > 0.5
    assert first == 0 or row[first] < 1e-5
    assert last == 1399 or row[last] < 1e-5


@pytest.mark.parametrize(
    ("network", "tiles"), [(TLRNet(iterations=1), True), (NonLocalLowRankNet(iterations=1), False)]
)
def test_what_needs_it_has_large_images_in_tiles(monkeypatch, network, tiles):
    monkeypatch.setattr(completion, "LARGEST_WHOLE", 48 * 40 - 1)
    monkeypatch.setattr(completion, "TILE", 16)
    module, sizes = ColorCS(network).eval(), []
    network.iterations[0].register_forward_hook(lambda _, inputs, output: sizes.append(tuple(output.image.shape[-2:])))
    batch = Sample.stack([MaskedImages(photos((48, 40)), 0.4, seed=0)[0]])
    with torch.no_grad():
        module(batch)
    assert set(sizes) == ({(16, 16)} if tiles else {(48, 40)})


def test_color_cs_tiles_unless_training():
    network = ZeroFilling()
    module = ColorCS(network, tile_size=16)
    batch = Sample.stack([MaskedImages(photos((32, 32)), 0.4, seed=0)[0]])
    module(batch)
    assert network.sizes == [(32, 32)]
    module.eval()(batch)
    assert set(network.sizes[1:]) == {(16, 16)}


class Slanted(torch.nn.Module):
    """A network that treats an image and the same turned or flipped differently: what it adds grows along a row."""

    def forward(self, measurement, operator):
        return operator.adjoint(measurement) + torch.arange(measurement.shape[-1]).square()


@pytest.mark.parametrize("tile_size", [None, 8])
def test_a_self_ensemble_turns_and_flips_with_the_image(tile_size):
    module = ColorCS(Slanted(), tile_size=tile_size, self_ensemble=True).eval()
    batch = Sample.stack([MaskedImages(photos((12, 10)), 0.4, seed=0)[0]])
    reconstruction = module(batch)
    assert not torch.allclose(module.network(batch.measurement, Mask(batch.mask)), reconstruction)
    for change in (lambda x: x.rot90(1, (-2, -1)), lambda x: x.flip(-1), lambda x: x.transpose(-2, -1)):
        changed = batch._replace(measurement=change(batch.measurement), mask=change(batch.mask))
        assert torch.allclose(module(changed), change(reconstruction), atol=1e-4)


def test_a_self_ensemble_calls_the_network_as_often_as_is_said_and_not_in_training():
    network = ZeroFilling()
    module = ColorCS(network, tile_size=16, self_ensemble=True)
    batch = Sample.stack([MaskedImages(photos((40, 32)), 0.4, seed=0)[0]])
    module(batch)
    assert network.sizes == [(40, 32)]
    assert torch.allclose(module.eval()(batch), batch.measurement, atol=1e-6)
    assert len(network.sizes) == 1 + module.network_calls(batch)


def test_predictions_are_in_the_datas_own_unit():
    images = photos((16, 16))
    batch = Sample.stack([MaskedImages(images, 1.0, seed=0)[0]])
    predicted = ColorCS(ZeroFilling()).predict_step(batch, 0)
    assert torch.equal(predicted[0].permute(1, 2, 0).round().byte(), torch.from_numpy(images.pixels[0]))


def test_a_module_built_in_python_keeps_only_plain_hyperparameters(recwarn):
    module = ColorCS(TLRNet(iterations=1), optimizer=lambda p: torch.optim.SGD(p, lr=1), tile_size=8)
    assert dict(module.hparams) == {
        "scheduler": None,
        "tile_size": 8,
        "compile": False,
        "shrinkage": True,
        "loss": None,
        "weights": None,
        "self_supervision": None,
        "self_ensemble": False,
    }
    assert not recwarn.list


def test_scheduler_steps_once_per_epoch():
    module = ColorCS(
        TLRNet(iterations=1, features=2),
        optimizer=lambda weights: torch.optim.SGD(weights, lr=1e-3),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
    )
    data = DataLoader(MaskedImages(photos((8, 8)), 0.4, seed=0, patches_per_image=4), collate_fn=Sample.stack)
    trainer = quiet_trainer(max_epochs=2)
    trainer.fit(module, data, data)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.25e-3)


def black_and_constant_batches(steps):
    pixels = [np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 128, np.uint8), *photos((16, 16), (16, 16)).pixels]
    images = Images(pixels, ["black", "constant", "noise", "more noise"])
    dataset = MaskedImages(images, 0.4, seed=0)
    return DataLoader([dataset[draw] for draw in range(4 * steps)], batch_size=4, collate_fn=Sample.stack)


@pytest.mark.parametrize("gradient", ["exact", "pinv"])
def test_training_survives_black_and_constant_images(gradient):
    module = ColorCS(TLRNet(iterations=2, features=4, gradient=gradient))
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(module, *[black_and_constant_batches(20)] * 2)
    assert trainer.global_step == 20
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_training_with_the_plain_gradient_stops_and_names_the_batch():
    module = ColorCS(TLRNet(iterations=2, features=4, gradient="plain"))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(
        NonFiniteGradientError, match=r"batch 0, step 0.*Batch: black, constant, noise, more noise.*prox"
    ):
        quiet_trainer(max_epochs=1).fit(module, *[black_and_constant_batches(2)] * 2)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Penalised(TLRNet):
    """A network each of whose states adds one to the loss."""

    def penalty(self, state):
        return 1.0


class TestPenalties:
    @pytest.fixture
    def batch(self):
        return Sample.stack([MaskedImages(photos((16, 16)), 0.4, seed=0)[0]])

    @pytest.mark.parametrize(
        ("network", "expected"),
        [
            (Penalised(iterations=2, features=2), 3),
            (TLRNet(iterations=1, features=2, start=Penalised(iterations=2, features=2)), 3),
            (Penalised(iterations=1, features=2, start=Penalised(iterations=1, features=2)), 4),
            (TLRNet(iterations=1, features=2), 0),
        ],
        ids=["network", "its start", "both", "none"],
    )
    def test_join_the_loss_of_any_task_in_training(self, network, expected, batch):
        module = ColorCS(network)
        image, penalty = module.reconstruct(batch)
        assert float(penalty) == expected
        assert torch.allclose(module.training_loss(batch), module.loss(image, batch) + expected)
        assert module.eval().reconstruct(batch)[1] == 0

    def test_a_task_that_reconstructs_in_its_own_way_has_them(self, batch):
        class Brighter(ColorCS):
            def forward(self, batch):
                return super().forward(batch) + 1

        module = Brighter(Penalised(iterations=2, features=2))
        image, penalty = module.reconstruct(batch)
        assert float(penalty) == 3
        assert torch.equal(image, module(batch))


class TestDynamicMRI:
    @pytest.fixture
    def batch(self):
        """Return a batch of a static series, one that moves, and one that is zero."""
        generator = torch.Generator().manual_seed(0)
        moving = torch.randn(4, 16, 12, dtype=torch.complex64, generator=generator)
        cines = [moving[:1].expand(4, -1, -1), moving, torch.zeros_like(moving)]
        acquisition = Acquisition(PseudoRadial(lines=4), coils=2)
        return Sample.stack(
            [acquisition.measure(cine, f"cine {i}", "synthetic", generator) for i, cine in enumerate(cines)]
        )

    @pytest.mark.parametrize("network", [DynamicTLRNet, T2LRNet, LplusSNet, SLRNet])
    def test_training_survives_static_and_zero_series(self, network, batch):
        module = DynamicMRI(network(features=4, iterations=2))
        trainer = quiet_trainer(max_epochs=1)
        trainer.fit(module, *[DataLoader([batch] * 8, batch_size=None)] * 2)
        assert trainer.global_step == 8
        assert all(parameter.isfinite().all() for parameter in module.parameters())

    def test_penalty_of_the_network_joins_the_loss(self, batch):
        module = DynamicMRI(SLRNet(features=4, iterations=2))
        image, penalty = module.reconstruct(batch)
        assert penalty > 0
        module.log = lambda *_, **__: None
        assert torch.allclose(module.training_step(batch, 0)["loss"], module.loss(image, batch) + penalty)
        module.network.penalty = lambda state: 0.0
        assert torch.allclose(module.training_step(batch, 0)["loss"], module.loss(image, batch))

    def test_one_coil_of_ones_is_a_single_coil(self, batch):
        single = batch._replace(measurement=batch.measurement[:, :1], coil_sensitivities=None)
        ones = single._replace(coil_sensitivities=torch.ones(3, 1, 1, 16, 12, dtype=torch.complex64))
        module = DynamicMRI(T2LRNet(features=4, iterations=2))
        assert torch.allclose(module(single), module(ones), atol=1e-6)

    def test_predictions_are_in_the_datas_own_unit(self, batch):
        module = DynamicMRI(T2LRNet(features=4, iterations=2))
        brighter = batch._replace(scale=10 * batch.scale)
        assert torch.allclose(10 * module.predict_step(batch, 0), module.predict_step(brighter, 0))

    def test_metrics(self, batch):
        metrics = DynamicMRI(NuclearNormRecon(iterations=1)).metrics()
        assert list(metrics) == ["psnr", "ssim", "ser", "nmse", "hfen"]
        for name, metric in metrics.items():
            metric.update(1j * batch.target + 0.01, batch.target)
            assert metric.count == 2, name  # not the series that is zero
            assert metric.compute().isfinite()

    def test_picture_is_grey_and_shows_frame_and_profile(self, batch):
        picture = DynamicMRI(NuclearNormRecon()).picture(batch.target[1], batch.target[1])
        assert picture.shape == (3, 16 + PROFILE_GAP + 2 * 4, 12)
        assert 0.5 < picture[:, :16].max() <= 1
        assert torch.equal(picture[0], picture[2])

    def test_by_default_a_picture_of_a_complex_image_is_its_magnitude(self, batch):
        target = batch.target[1]
        picture = ReconstructionModule.picture(DynamicMRI(NuclearNormRecon()), target[:1], target)
        assert torch.allclose(picture, (target[:1].abs() / target.abs().max()).expand(3, -1, -1))
