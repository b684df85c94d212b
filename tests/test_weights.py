"""Trained networks come back as they were, and nothing that a file says runs code."""

import hashlib
import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import TINY
from safetensors.torch import save_file
from skimage import io
from torch import nn

from datamodules.loading.data_module import collate
from datamodules.photographs.image_files import read_images
from datamodules.photographs.masked_images import MaskedImages
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.networks import LocallyLowRankNet, LocallyLowRankRecon, NonLocalLowRankNet
from lowrank_unroll.operators import Mask, SampledFourier, coil_operator
from lowrank_unroll.prox import Patches, trained_low_rank_steps
from lowrank_unroll.weights import TrainedNetwork, load_network, load_weights, read_trained, shipped, write_trained
from lowrank_unroll.weights.sources import BOX

CONFIG = ["--config", "color_cs/non_local_low_rank_net.yaml"]
DESCRIPTION = {
    "class_path": "lowrank_unroll.networks.NonLocalLowRankNet",
    "init_args": {
        "features": 4,
        "iterations": 2,
        "patches": {"class_path": "lowrank_unroll.prox.Patches", "init_args": {"neighbours": 5}},
        "start": None,
    },
}


def small_network():
    network = NonLocalLowRankNet(features=4, iterations=2, patches=Patches(neighbours=5))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture
def problem():
    mask = (torch.rand(1, 3, 16, 16) < 0.5).float()
    return mask * torch.rand(1, 3, 16, 16), Mask(mask)


@pytest.fixture
def file(tmp_path):
    def write(network, description=DESCRIPTION, *, shrinkage=True):
        path = tmp_path / "net.safetensors"
        write_trained(path, TrainedNetwork(description, shrinkage, network.state_dict(), {"steps": "7"}))
        return path

    return write


def test_a_network_comes_back_from_its_file(file, problem):
    network = small_network()
    path = file(network)
    again = load_network(path)
    assert torch.equal(again(*problem), network(*problem))
    assert not again.training
    assert read_trained(path).about == {"steps": "7"}


def test_the_same_weights_make_the_same_file(file):
    network = small_network()
    assert hashlib.sha256(file(network).read_bytes()).digest() == hashlib.sha256(file(network).read_bytes()).digest()


def test_a_network_trained_without_shrinkage_comes_back_so(file):
    network = small_network()
    assert not trained_low_rank_steps(load_network(file(network, shrinkage=False)))


def test_an_untrained_start_comes_back_too(file):
    init = {"features": 4, "iterations": 1, "start": {"class_path": "lowrank_unroll.networks.LocallyLowRankRecon",
                                                      "init_args": {"iterations": 3}}}  # fmt: skip
    network = LocallyLowRankNet(4, 1, start=LocallyLowRankRecon(iterations=3))
    path = file(network, {"class_path": "lowrank_unroll.networks.LocallyLowRankNet", "init_args": init})
    assert len(load_network(path).start.iterations) == 3


def test_weights_of_another_network_are_refused(file):
    with pytest.raises(UsageError, match=r"are weights of NonLocalLowRankNet, of which .* differ"):
        load_weights(NonLocalLowRankNet(features=5, iterations=2), file(small_network()))


def test_a_foreign_class_is_not_imported(file):
    path = file(small_network(), {"class_path": "os.system", "init_args": {"command": "true"}})
    with pytest.raises(UsageError, match="no class of this package"):
        load_network(path)
    assert isinstance(load_network(path, small_network()), NonLocalLowRankNet)  # given, it is not looked up


@pytest.mark.parametrize("name", ["wrong", "runs/nothing.ckpt"])
def test_a_missing_source_is_named(name):
    with pytest.raises(UsageError, match=f"no weights {name}: expected a file"):
        load_network(name)


def test_other_files_are_refused(tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(b"\x10" * 40)
    pickled = tmp_path / "evil.ckpt"
    pickled.write_bytes(pickle.dumps(print))
    for path in (cut, pickled):
        with pytest.raises(DataError, match=path.name):
            load_network(path)
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, bare)
    with pytest.raises(UsageError, match="does not say what network"):
        load_network(bare)


def test_a_checkpoint_of_fit_is_one_line(command_line, problem):
    command_line("fit", *CONFIG, *TINY)
    path = "runs/color_cs_non_local_low_rank_net/version_0/checkpoints/last.ckpt"
    network = load_network(path)
    assert network(*problem).shape == (1, 3, 16, 16)
    # The weights of a run begin another one.
    command_line("fit", *CONFIG, *TINY, "--model.weights", path, "--model.optimizer.init_args.lr", "0")
    again = load_network(path.replace("version_0", "version_1"))
    assert all(map(torch.equal, again.state_dict().values(), network.state_dict().values()))


def test_the_box_predicts_without_fit(command_line):
    io.imsave("photo.png", (torch.rand(20, 24, 3) * 255).byte().numpy(), check_contrast=False)
    command_line("predict", "--config", "color_cs/pretrained.yaml", "--data.predict_images", "photo.png",
                 "--trainer.accelerator", "cpu")  # fmt: skip
    written = io.imread("runs/color_cs_pretrained/version_0/predictions/photo.png")
    sample = collate([MaskedImages(read_images(Path("photo.png")), 0.4, seed=3407)[0]])
    with torch.no_grad():
        expected = load_network("color_cs")(sample.measurement, Mask(sample.mask))[0] * sample.scale
    assert abs(expected.permute(1, 2, 0).clamp(0, 255).numpy() - written).max() <= 0.51


def test_the_box_predicts_series_without_fit(command_line):
    mask = torch.rand(6, 24, 20) < 0.3
    kspace = mask * torch.randn(1, 6, 24, 20, dtype=torch.complex64)
    np.savez("scan.npz", kspace=kspace, mask=mask)
    command_line("predict", "--config", "dynamic_mri/pretrained.yaml", "--data.predict_kspace", "scan.npz",
                 "--trainer.accelerator", "cpu")  # fmt: skip
    with h5py.File("runs/dynamic_mri_pretrained/version_0/predictions/scan.h5") as file:
        written = torch.from_numpy(file["series"][()])
    operator = SampledFourier(mask[None, None]) @ coil_operator(None)
    scale = operator.adjoint(kspace[None]).abs().max()
    with torch.no_grad():
        expected = load_network("dynamic_mri")(kspace[None] / scale, operator)[0] * scale
    assert (expected - written).norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize("name", shipped())
def test_what_is_in_the_box_is_what_its_card_says(name):
    path = BOX / f"{name}.safetensors"
    card = path.with_suffix(".md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    trained = read_trained(name)
    assert trained.about["steps"] in card
    assert trained.about["commit"] in card
    assert json.dumps(trained.network["init_args"]["features"]) in card
    network = load_network(name)
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert sum(file.stat().st_size for file in BOX.glob("*.safetensors")) < 5e6
