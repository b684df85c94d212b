"""Tests of RawScans: training and testing on the k-space that all coils measured."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SHORT, SMALL_NETWORK

from datamodules import OCMR, RawScans
from datamodules.loading.crops import Crops, Window
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.raw_series import RawSeries
from datamodules.scanners import raw_scans
from datamodules.scanners.kspace_dataset import KSpaceDataset, KSpaceSeries
from datamodules.scanners.preparation import cache_key, prepare_kspace
from datamodules.scanners.prepared_files import PreparedFiles
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.modules import DynamicMRI
from lowrank_unroll.networks import ViewSharing
from lowrank_unroll.operators import Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import VariableDensity, Vista

pytest.importorskip("ismrmrd")
pytest.importorskip("sigpy")

from test_ismrmrd import header_of, readouts_of, write
from test_raw_series import COILS, HEIGHT, TIME, WIDTH, lines, measured

NAMES = {"us_1.h5": "train", "us_2.h5": "val", "fs_3.h5": "test"}
OPERATOR = DynamicMRI(ViewSharing()).operator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of two undersampled files and a fully sampled one."""
    root = tmp_path_factory.mktemp("raw")
    for seed, name in enumerate(NAMES):
        kspace, _ = measured(seed)
        write(root / name, header_of(kspace), lines(kspace) if name.startswith("us") else readouts_of(kspace))
    (root / "split.csv").write_text("\n".join(["file,split", *map(",".join, NAMES.items())]))
    return root


@pytest.fixture
def data(folder, forked_preparation):
    def of(**choices):
        return RawScans(folder, split_file=folder / "split.csv", processes=1, **choices)

    of().prepare_data()
    return of


def scan(seed=0, coils=3, shape=(6, 16, 12)):
    generator = torch.Generator().manual_seed(seed)
    coil_images, maps = (torch.randn(size, dtype=torch.complex64, generator=generator) for size in (
        (coils, *shape), (coils, *shape[1:]),
    ))  # fmt: skip
    maps = maps / maps.abs().square().sum(0).sqrt()
    return KSpaceSeries("scan", Fourier()(coil_images).numpy(), np.ones(shape, bool), maps.numpy()), coil_images


class TestMeasuredScans:
    def test_undersampled_as_the_coils_measured_it(self):
        one, coil_images = scan()
        (sample,) = [KSpaceDataset([one], VariableDensity(0.5), (0,))[0]]
        kspace = sample.measurement * sample.scale
        torch.testing.assert_close(kspace, torch.from_numpy(one.kspace) * sample.mask)
        together = (torch.from_numpy(one.coil_sensitivities)[:, None].conj() * coil_images).sum(0)
        torch.testing.assert_close(sample.target * sample.scale, together)
        assert 0.3 < sample.mask.float().mean() < 0.7
        assert sample.origin == "measured"

    def test_as_it_was_sampled_there_is_no_target(self):
        one, _ = scan()
        sampled = np.random.default_rng(0).random(one.sampled.shape) < 0.4
        one = one._replace(sampled=sampled, kspace=one.kspace * sampled)
        sample = KSpaceDataset([one], None, (0,))[0]
        assert sample.target is None
        assert torch.equal(sample.mask[0], torch.from_numpy(sampled))
        torch.testing.assert_close(sample.measurement * sample.scale, torch.from_numpy(one.kspace))

    def test_a_pattern_samples_only_what_was_measured(self):
        one, _ = scan()
        half = np.zeros(one.sampled.shape, bool)
        half[..., 6:] = True
        sample = KSpaceDataset([one._replace(sampled=half)], VariableDensity(0.5), (0,))[0]
        assert not sample.mask[..., :6].any()

    def test_crops_are_those_of_the_image_along_the_readout(self):
        """Fully sampled readouts separate the rows of an image, so that a crop contains exactly its rows."""
        one, coil_images = scan()
        samples = KSpaceDataset([one], None, (0,), Crops(Window(4, 5, None), 3))
        assert len(samples) == 3
        places = set()
        for draw in range(20):
            sample = samples[draw]
            rows = Fourier().adjoint(sample.measurement * sample.scale)
            found = [
                (time, top)
                for time in range(3)
                for top in range(12)
                if torch.allclose(rows, coil_images[:, time : time + 4, top : top + 5], atol=1e-4)
            ]
            assert len(found) == 1
            (_, top) = found[0]
            maps = torch.from_numpy(one.coil_sensitivities)[:, None, top : top + 5]
            assert torch.equal(sample.coil_sensitivities, maps)
            places.update(found)
        assert len(places) > 5

    def test_samples_repeat(self):
        one, _ = scan()
        first, again = (KSpaceDataset([one], VariableDensity(0.5), (3,), Crops(Window(4, 8, None))) for _ in range(2))
        for draw in (0, 7):
            assert torch.equal(first[draw].measurement, again[draw].measurement)
        assert not torch.equal(first[0].mask, first[7].mask)

    def test_crops_that_do_not_fit_are_refused(self):
        with pytest.raises(UsageError, match=r"crop of 40 in height does not fit: ask for less with --data\.crop"):
            KSpaceDataset([scan()[0]], None, (0,), Crops(Window(None, 40, None)))


def write_name(read, coils, raw, prepared):
    prepared.parent.mkdir(exist_ok=True)
    prepared.write_text(raw.name)


@pytest.mark.usefixtures("forked_preparation")
class TestRawScans:
    def test_what_is_prepared_is_what_predict_reads(self, folder, data):
        (prepared,) = [data().dataset("train")[0]]
        (raw,) = RawSeries(folder / "us_1.h5")
        assert prepared.name == raw.name == "us_1/slice0_average0"
        assert torch.equal(prepared.mask, raw.mask)
        torch.testing.assert_close(prepared.measurement, raw.measurement)
        torch.testing.assert_close(prepared.scale, raw.scale)
        torch.testing.assert_close(prepared.coil_sensitivities, raw.coil_sensitivities)

    def test_test_data_are_measured_by_all_coils(self, data):
        test = data(pattern=Vista(4)).dataset("test")
        (sample,) = [test[0]]
        assert sample.measurement.shape == (COILS, TIME, HEIGHT, WIDTH)
        assert (sample.origin, sample.target.shape) == ("measured", (TIME, HEIGHT, WIDTH))
        batch = Sample.stack([sample])
        predicted = OPERATOR(batch)(batch.target)
        # Measured, and not simulated from the image: ESPIRiT's maps of so few pixels explain it, but not to the digit.
        assert 0.001 < (predicted - batch.measurement).norm() / batch.measurement.norm() < 0.1

    def test_preparations_of_other_coils_lie_beside(self, folder, tmp_path):
        np.save(tmp_path / "psi.npy", np.eye(COILS))
        choices = [Coils(), Coils(virtual=2), Coils(prewhiten=False), Coils(noise_covariance=tmp_path / "psi.npy")]
        names = {cache_key("kspace", coils) for coils in choices}
        assert len(names) == 4
        np.save(tmp_path / "psi.npy", 2 * np.eye(COILS))
        assert cache_key("kspace", choices[-1]) not in names
        prepare_kspace(OCMR.read, choices[1], folder / "us_1.h5", tmp_path / "two.h5")
        assert (tmp_path / "two.h5").exists()

    @pytest.mark.parametrize(
        ("stage", "splits"),
        [(None, ("train", "val", "test")), ("fit", ("train", "val")), ("test", ("test",)), ("predict", ())],
    )
    def test_only_what_a_stage_needs_is_prepared(self, tmp_path, folder, monkeypatch, stage, splits):
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("prepared"))
        data = RawScans(tmp_path, split_file=folder / "split.csv", processes=1)
        monkeypatch.setattr(raw_scans, "prepare_kspace", write_name)
        data.trainer = SimpleNamespace(state=SimpleNamespace(fn=stage))
        data.prepare_data()
        prepared = {file.read_text() for file in (tmp_path / "prepared").glob("*")}
        assert prepared == {name for name, split in NAMES.items() if split in splits}

    def test_files_of_one_name_are_prepared_apart(self, tmp_path, monkeypatch):
        """Otherwise test data could be training data."""
        names = ["a.h5", "a.mrd", "p1/a.h5", "p2/a.h5", "a.b.h5"]
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        data = RawScans(tmp_path, "**/*.[hm]*")
        assert len({str(data.files.prepared(raw)).lower() for raw in data.files.raw_files()}) == len(names)
        monkeypatch.setattr(data, "split_of", lambda _: "train")
        monkeypatch.setattr(PreparedFiles, "_series_of", lambda _, raw, name: [name])
        assert data.files.series("train") == ["a.b", "a.h5", "a.mrd", "p1/a", "p2/a"]

    def test_files_outside_of_the_root_are_refused(self, tmp_path):
        (tmp_path / "root").mkdir()
        (tmp_path / "a.h5").touch()
        with pytest.raises(UsageError, match=r"a\.h5 lies outside of .*root: give a --data\.root that holds"):
            RawScans(tmp_path / "root", "../*.h5").files.raw_files()

    def test_to_predict_needs_no_folder_of_raw_files(self, tmp_path):
        data = RawScans(tmp_path)
        data.trainer = SimpleNamespace(state=SimpleNamespace(fn="predict"))
        data.prepare_data()
        with pytest.raises(FileNotFoundError, match=r"with --data\.root FOLDER, and their names with --data\.files"):
            data.files.raw_files()

    def test_files_of_subjects_are_split_by_their_folder(self, tmp_path):
        for subject in range(30):
            for name in ("cine.h5", "other.h5"):
                (tmp_path / f"p{subject}" / name).parent.mkdir(exist_ok=True)
                (tmp_path / f"p{subject}" / name).touch()
        (tmp_path / "prepared").mkdir()
        (tmp_path / "prepared" / "cine_kspace1_00.h5").touch()
        data = RawScans(tmp_path, "**/*.h5")
        assert len(data.files.raw_files()) == 60
        splits = {
            subject: {data.split_of(file) for file in (tmp_path / f"p{subject}").iterdir()} for subject in range(30)
        }
        assert all(len(found) == 1 for found in splits.values())
        assert set().union(*splits.values()) == {"train", "val", "test"}

    def test_what_is_not_fully_sampled_is_no_ground_truth(self, data):
        with pytest.raises(UsageError, match=r"us_1/slice0_average0 is not fully sampled.*leave out --data\.pattern"):
            data(pattern=Vista(4)).dataset("train")

    def test_without_ground_truth_nothing_is_tested(self, data):
        with pytest.raises(UsageError, match=r"no ground truth to test by: predict it, or give --data\.pattern"):
            data().dataset("test")

    def test_an_empty_split_is_told(self, folder):
        split = folder / "all_train.csv"
        split.write_text("\n".join(["file,split", *(f"{name},train" for name in NAMES)]))
        with pytest.raises(UsageError, match=r"no us_\*\.h5 file in .* is for 'val'.*--data\.split_file"):
            RawScans(folder, "us_*.h5", split_file=split).dataset("val")

    def test_damage_is_told(self, folder, tmp_path):
        (tmp_path / "us_1.h5").write_bytes((folder / "us_1.h5").read_bytes())
        data = RawScans(tmp_path, processes=1, split_file=folder / "split.csv")
        data.prepare_data()
        data.files.prepared(tmp_path / "us_1.h5").write_bytes(b"damaged")
        with pytest.raises(DataError, match=r"us_1\.h5_\S*\.h5 is damaged: .* `lowrank-unroll prepare` makes it anew"):
            data.dataset("train")


WORDS = [
    *("--config", "dynamic_mri/ocmr_selfsupervised.yaml", *SHORT, *SMALL_NETWORK, "--data.processes", "1"),
    *("--model.network.start.init_args.iterations", "2", "--data.frames", "4", "--data.crop", "16"),
]
# Words of other tests that this config has no use for.
WORDS[WORDS.index("--report.untrained") : WORDS.index("--report.untrained") + 2] = []


@pytest.mark.slow
@pytest.mark.usefixtures("forked_preparation", "sandbox_in_this_process")
def test_the_config_trains_without_ground_truth_and_is_tested_where_there_is_one(folder, command_line, refused, capsys):
    words = [*WORDS, "--data.root", folder, "--data.split_file", folder / "split.csv"]
    command_line("fit", *words, "--pictures.samples", "2")
    assert list(Path("runs").rglob("best.ckpt"))
    assert list(Path("runs").rglob("pictures/epoch0000.png"))
    command_line("test", *words, "--config", "pattern/vista8.yaml", "--data.files", "fs_*.h5")
    (report,) = Path("runs").rglob("test/metrics.csv")
    assert "fs_3/slice0_average0,measured," in report.read_text()
    command_line("predict", *WORDS, "--data.predict_kspace", folder / "us_1.h5")
    assert list(Path("runs").rglob("predictions/us_1/slice0_average0.gif"))
    told = refused("fit", *words, "--model.self_supervision", "null", "--checkpoint.monitor", "train/loss")
    assert "only the measurement is known, not the image: train without it, with --model.self_supervision SSDU" in told
    assert "no ground truth to test by" in refused("test", *words)
