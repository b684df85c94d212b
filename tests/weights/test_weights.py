"""Trained networks come back as they were, and nothing that a file says runs code."""

import hashlib
import json
import pickle
import re
import resource
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import TINY
from safetensors.torch import save_file
from skimage import io
from torch import nn

from datamodules.photographs.image_files import read_images
from datamodules.photographs.masked_images import MaskedImages
from lowrank_unroll import networks
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.networks import LocallyLowRankNet, LocallyLowRankRecon, NonLocalLowRankNet
from lowrank_unroll.operators import Mask, SampledFourier, coil_operator
from lowrank_unroll.prox import Patches, trained_low_rank_steps
from lowrank_unroll.runs import is_damaged
from lowrank_unroll.sample import COLOUR_AXES, Sample
from lowrank_unroll.weights import TrainedNetwork, load_network, load_weights, read_trained, shipped, write_trained
from lowrank_unroll.weights.sources import BUNDLED

CONFIG = ["--config", "color_cs/non_local_low_rank_net.yaml"]
DESCRIPTION = {
    "class_path": "lowrank_unroll.networks.NonLocalLowRankNet",
    "init_args": {
        "features": 4,
        "iterations": 2,
        "patches": {"class_path": "lowrank_unroll.prox.Patches", "init_args": {"neighbors": 5}},
        "start": None,
    },
}


def small_network():
    network = NonLocalLowRankNet(features=4, iterations=2, patches=Patches(neighbors=5))
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


BIG = DESCRIPTION["init_args"] | {"features": 4000}
ENDLESS = {"class_path": "lowrank_unroll.networks.NuclearNormRecon", "init_args": {"iterations": 10**9}}


@pytest.mark.parametrize(
    ("init_args", "told"),
    [
        (BIG, r"weights of NonLocalLowRankNet, of which \d+ differ in name, shape or kind"),
        (DESCRIPTION["init_args"] | {"start": ENDLESS}, "add up to more than 4096"),
        (DESCRIPTION["init_args"] | {"features": 1e300}, "add up to more than 4096"),
    ],
    ids=["large", "long", "float"],
)
def test_what_a_file_says_takes_no_memory(file, init_args, told):
    path = file(small_network(), DESCRIPTION | {"init_args": init_args})
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((UsageError, DataError), match=rf"^{re.escape(str(path))}: .*{told}"):
        load_network(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 200 * 1024  # KiB; the large one has 4 GB


def test_weights_that_a_checkpoint_only_claims_to_hold_take_no_memory(tmp_path):
    weights = {f"network.{name}": weight for name, weight in small_network().state_dict().items()}
    name = "network.iterations.0.correction.conv1.weight"
    described = DESCRIPTION | {"init_args": BIG | {"iterations": 1}}
    checkpoint = {"pytorch-lightning_version": "2.6", "hyper_parameters": {"network": described}}
    torch.save(checkpoint | {"state_dict": weights | {name: torch.zeros(1).expand(10**12)}}, tmp_path / "a.ckpt")
    with pytest.raises(DataError, match=r"a\.ckpt: has weights that share their memory"):
        load_network(tmp_path / "a.ckpt")


def test_a_checkpoint_makes_no_arrays_of_bytes(tmp_path):
    class Bytes:
        def __reduce__(self):
            return (bytearray, (10**12,))

    torch.save({"pytorch-lightning_version": "2.6", "state_dict": {}, "bytes": Bytes()}, tmp_path / "a.ckpt")
    with pytest.raises(DataError, match=r"a\.ckpt: is of another program: it makes arrays of bytes"):
        load_network(tmp_path / "a.ckpt")


def test_a_description_that_repeats_itself_takes_no_time(tmp_path):
    laughs = []
    for _ in range(40):
        laughs = [laughs] * 10
    described = {"network": {"class_path": NETWORK, "init_args": {"features": laughs}}}
    torch.save(
        {"pytorch-lightning_version": "2.6", "state_dict": {}, "hyper_parameters": described}, tmp_path / "a.ckpt"
    )
    with pytest.raises(DataError, match="add up to more than 4096"):
        load_network(tmp_path / "a.ckpt")


def test_a_compressed_checkpoint_is_no_checkpoint(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(100_000)}}, tmp_path / "a.ckpt")
    with zipfile.ZipFile(tmp_path / "a.ckpt") as whole, zipfile.ZipFile(tmp_path / "b.ckpt", "w", 8) as bomb:
        for part in whole.namelist():
            bomb.writestr(part, whole.read(part))
    assert not is_damaged(tmp_path / "a.ckpt")
    assert is_damaged(tmp_path / "b.ckpt")


STARTING = {"class_path": "lowrank_unroll.networks.LocallyLowRankRecon", "init_args": {"iterations": 3}}
NETWORKS = {
    "DynamicTLRNet": {},
    "FeatureUnrolledNet": {},
    "LocallyLowRankNet": {"start": STARTING},
    "LplusSNet": {},
    "NonLocalLowRankNet": {},
    "SLRNet": {},
    "T2LRNet": {},
    "TLRNet": {},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_comes_back_whole(file, name):
    """Also what is no weight: buffers, and numbers that were drawn when it was built."""
    init_args = {"iterations": 1, "features": 2, **NETWORKS[name]}
    description = {"class_path": f"lowrank_unroll.networks.{name}", "init_args": init_args}
    start = {"start": LocallyLowRankRecon(iterations=3)} if "start" in init_args else {}
    network = getattr(networks, name)(**(init_args | start))
    again = load_network(file(network, description))
    assert {tensor.device.type for tensor in (*again.parameters(), *again.buffers())} == {"cpu"}
    assert all(map(torch.equal, again.state_dict().values(), network.state_dict().values()))
    assert all(map(torch.equal, again.buffers(), network.buffers()))
    mask = torch.rand(1, 3, 12, 12) < 0.5
    operator = Mask(mask) if again.image_axes == COLOUR_AXES else SampledFourier(mask)
    measurement = operator(torch.rand(1, 3, 12, 12) + (0 if again.image_axes == COLOUR_AXES else 0j))
    with torch.no_grad():
        assert torch.equal(again(measurement, operator), network.eval()(measurement, operator))


NETWORK = "lowrank_unroll.networks.NonLocalLowRankNet"


@pytest.mark.parametrize(
    "described",
    [
        "[" * 100_000,
        "[1]",
        "null",
        '{"network": 5}',
        '{"network": {"class_path": 5}}',
        '{"network": {"class_path": null}}',
        f'{{"network": {{"class_path": "{NETWORK}", "init_args": [1]}}}}',
        f'{{"network": {"[" * 900}{"]" * 900}}}',
        f'{{"network": {{"class_path": "{NETWORK}", "init_args": {{"start": {"[" * 900}{"]" * 900}}}}}}}',
        f'{{"network": {{"class_path": "{NETWORK}", "init_args": {{"features": 1.5}}}}}}',
        f'{{"network": {{"class_path": "{NETWORK}", "init_args": {{"iterations": 0}}}}}}',
        f'{{"network": {{"class_path": "{NETWORK}", "init_args": {{"gradient": "exat"}}}}}}',
        f'{{"network": {{"class_path": "{NETWORK}", "init_args": {{"patches": 5}}}}}}',
        f'{{"network": {{"class_path": "{NETWORK}", "init_args": {{"start": 5}}}}}}',
        '{"shrinkage": "no"}',
        '{"about": [1]}',
    ],
    ids=lambda text: text[:60],
)
def test_a_malformed_description_is_told_with_its_file(tmp_path, described):
    path = tmp_path / "a.safetensors"
    save_file(small_network().state_dict(), path, metadata={"lowrank_unroll": described})
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: ") as refusal:
        load_network(path)
    assert len(str(refusal.value)) < len(str(path)) + 400


@pytest.mark.parametrize(
    "content",
    [
        {"hyper_parameters": [1]},
        {"hyper_parameters": None},
        {"state_dict": [1]},
        {"state_dict": {1: torch.zeros(1)}},
        {"state_dict": {"network.a": 5}},
        {"state_dict": {"network.a": torch.zeros(2).to_sparse()}},
        {"state_dict": {"network.a": torch.zeros(2, device="meta")}},
    ],
    ids=str,
)
def test_a_malformed_checkpoint_is_told_with_its_file(tmp_path, content):
    torch.save({"pytorch-lightning_version": "2.6", "state_dict": {}} | content, tmp_path / "a.ckpt")
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path))}/a\.ckpt: its "):
        load_network(tmp_path / "a.ckpt")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(file, value):
    network = small_network()
    nn.init.constant_(network.iterations[1].correction.conv0.weight, value)
    with pytest.raises(
        DataError, match=r"net\.safetensors: has .* NaN weights, iterations\.1\.correction\.conv0\.weight:"
    ):
        load_network(file(network))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int8])
def test_weights_of_another_kind_are_not_cut_down(tmp_path, dtype):
    weights = {name: weight.to(dtype) for name, weight in small_network().state_dict().items()}
    write_trained(tmp_path / "a.safetensors", TrainedNetwork(DESCRIPTION, True, weights, {}))
    with pytest.raises(UsageError, match="differ in name, shape or kind"):
        load_network(tmp_path / "a.safetensors")


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
    with pytest.raises(UsageError, match="does not name the network of its weights"):
        load_network(bare)


@pytest.mark.usefixtures("empty_figures")
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
    sample = Sample.stack([MaskedImages(read_images(Path("photo.png")), 0.4, seed=3407)[0]])
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
    path = BUNDLED / f"{name}.safetensors"
    card = path.with_suffix(".md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    trained = read_trained(name)
    assert trained.about["steps"] in card
    assert trained.about["commit"] in card
    assert json.dumps(trained.network["init_args"]["features"]) in card
    network = load_network(name)
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert sum(file.stat().st_size for file in BUNDLED.glob("*.safetensors")) < 5e6
