"""Tests of dynamic MRI data: simulated acquisition, the phantom's cache, measured k-space from files."""

import itertools
import math
import zipfile
from concurrent.futures import ProcessPoolExecutor

import h5py
import numpy as np
import pytest
import torch
from support.forked import forkserver

from datamodules import CineImages, CinePhantom
from datamodules.dynamic_mri.acquisition import Acquisition, SimulatedDataset
from datamodules.dynamic_mri.cine import Cine
from datamodules.loading.crops import Crops, Window
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.kspace_files import KSpaceFiles, read_kspace
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.modules import DynamicMRI
from lowrank_unroll.networks import NuclearNormRecon
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial, Uniform, VariableDensity

SHAPE = (6, 20, 16)


def magnitude_cine(name="patient1", shape=SHAPE):
    return Cine(np.random.default_rng(0).integers(0, 400, shape, dtype=np.uint16), name)


def complex_cine(name="complex"):
    generator = np.random.default_rng(1)
    return Cine(generator.normal(size=SHAPE) + 1j * generator.normal(size=SHAPE), name)


def dataset(*cines, coils=1, snr=None, pattern=Uniform(0.4), seed=0, **kwargs):  # noqa: B008
    return SimulatedDataset(cines, Acquisition(pattern, coils, snr), "semi-synthetic", (seed,), **kwargs)


def equal(one, other):
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in zip(one, other, strict=True))


class TestMeasuredCines:
    @pytest.mark.parametrize("coils", [1, 3])
    def test_dims_dtypes_and_scale(self, coils):
        sample = dataset(magnitude_cine(), coils=coils)[0]
        assert sample.measurement.shape == (coils, *SHAPE)
        assert sample.target.shape == SHAPE
        assert sample.mask.shape == (1, *SHAPE)
        assert sample.measurement.dtype == sample.target.dtype == torch.complex64
        assert (sample.coil_sensitivities is None) == (coils == 1)
        assert sample.origin == "semi-synthetic"
        batch = Sample.stack([sample])
        assert DynamicMRI(NuclearNormRecon()).zero_filled(batch).abs().max() == pytest.approx(1)
        original = torch.from_numpy(magnitude_cine().frames.astype(np.float32))
        assert torch.allclose(sample.target.abs() * sample.scale, original, rtol=1e-5)

    @pytest.mark.parametrize("coils", [1, 3])
    def test_without_noise_the_measurement_is_the_operators(self, coils):
        batch = Sample.stack([dataset(magnitude_cine(), coils=coils)[0]])
        operator = DynamicMRI(NuclearNormRecon()).operator(batch)
        assert torch.allclose(operator(batch.target), batch.measurement, atol=1e-5)

    def test_a_number_of_coils_is_drawn_small_ones_as_often_as_large(self):
        samples = dataset(complex_cine(), coils=(1, 4))
        counts = torch.zeros(5)
        for draw in range(400):
            strength = samples[draw].coil_sensitivities.abs().square()
            assert strength.shape == (4, 1, *SHAPE[1:])
            assert torch.allclose(strength.sum(0), torch.ones(SHAPE[1:]), atol=1e-5)
            counts[int(strength.flatten(1).any(1).sum())] += 1
        edges = torch.arange(1.0, 6).log() / np.log(5)
        assert torch.allclose(counts[1:] / 400, edges.diff(), atol=0.08)

    def test_coils_that_a_sample_lacks_do_not_change_it(self):
        samples = dataset(complex_cine(), coils=(2, 6), snr=20.0)
        few = next(sample for sample in map(samples.__getitem__, range(50)) if not sample.coil_sensitivities[2:].any())
        without = few._replace(measurement=few.measurement[:2], coil_sensitivities=few.coil_sensitivities[:2])
        module = DynamicMRI(NuclearNormRecon(iterations=20))
        with_all, with_two = (module.reconstruct(Sample.stack([sample])) for sample in (few, without))
        torch.testing.assert_close(with_all, with_two)

    def test_complex_series_keep_their_phase(self):
        sample = dataset(complex_cine())[0]
        assert torch.allclose(sample.target * sample.scale, torch.from_numpy(complex_cine().frames).to(torch.complex64))

    def test_noise_is_where_the_mask_is(self):
        clean, noisy = (dataset(complex_cine(), snr=snr, pattern=PseudoRadial(lines=4))[0] for snr in (None, 20.0))
        assert torch.equal(clean.mask, noisy.mask)
        assert not noisy.measurement[~noisy.mask].any()
        difference = (noisy.measurement * noisy.scale - clean.measurement * clean.scale)[noisy.mask]
        signal = (clean.target * clean.scale).abs().square().mean().sqrt()
        assert difference.real.std().item() == pytest.approx(signal.item() / 20, rel=0.2)

    def test_a_sample_is_a_function_of_seed_and_draw(self):
        choices = {"coils": 2, "snr": 30.0, "crops": Crops(Window(4, 10, 8), crops_per_cine=3)}
        one, same, other = (dataset(magnitude_cine(), complex_cine(), seed=seed, **choices) for seed in (1, 1, 2))
        assert len(one) == 6
        assert all(equal(one[draw], same[draw]) for draw in range(12))
        assert not equal(one[0], other[0])
        fresh = one[0], one[6]
        assert not torch.equal(fresh[0].mask, fresh[1].mask)
        assert not torch.equal(fresh[0].coil_sensitivities, fresh[1].coil_sensitivities)
        assert one[0].target.shape == (4, 10, 8)
        assert one[0].name == "patient1[draw 0]"

    def test_crops_come_from_all_over(self):
        cines = dataset(complex_cine(), crops=Crops(Window(6, 19, 16), crops_per_cine=50))
        crops = {(cines[draw].target * cines[draw].scale).numpy().round(3).tobytes() for draw in range(50)}
        assert len(crops) == 2

    def test_crops_on_a_grid_are_all_there_are(self):
        grid = dataset(complex_cine(), complex_cine(), crops=Crops(Window(4, 16, 8), crop_strides=(1, 2, 4)))
        starts = [(t, h, w) for t in (0, 1, 2) for h in (0, 2, 4) for w in (0, 4, 8)]
        assert len(grid) == 2 * len(starts)
        whole = torch.from_numpy(complex_cine().frames).to(torch.complex64)
        for draw in (*range(len(grid)), 2 * len(grid) + 5):
            time, height, width = starts[draw % len(starts)]
            expected = whole[time : time + 4, height : height + 16, width : width + 8]
            assert torch.allclose(grid[draw].target * grid[draw].scale, expected, rtol=1e-5)
        assert not torch.equal(grid[5].mask, grid[5 + len(grid)].mask)

    @pytest.mark.parametrize(
        ("choices", "message"),
        [
            ({"crops_per_cine": 0}, "crops_per_cine is 0, expected at least 1"),
            ({"window": Window(time=0)}, "frames is 0, expected at least 1"),
            (
                {"crop_strides": (8, 0, 32)},
                r"crop_strides is \(8, 0, 32\), expected \(time, height, width\), each at least 1",
            ),
            (
                {"crop_strides": (8, 32, 32), "crops_per_cine": 4},
                r"crops_per_cine is 4, but crop_strides \(8, 32, 32\) .*: leave one of them out",
            ),
        ],
    )
    def test_impossible_crops_are_refused(self, choices, message):
        with pytest.raises(ValueError, match=message):
            Crops(**choices)

    def test_a_series_that_is_too_short_is_named(self):
        message = r"series patient1 is \(6, 20, 16\) .* a crop of 7 in time does not fit: .*--data\.frames"
        with pytest.raises(UsageError, match=message):
            dataset(magnitude_cine(), crops=Crops(Window(time=7)))
        with pytest.raises(UsageError, match=r"a crop of 30 in width does not fit: .*--data\.crop"):
            dataset(magnitude_cine(), crops=Crops(Window(width=30)))

    def test_a_series_without_signal_is_measured_as_zero(self):
        sample = dataset(Cine(np.zeros(SHAPE), "empty"), coils=2, snr=10.0)[0]
        assert not sample.measurement.any()
        assert sample.scale == 1

    def test_impossible_acquisitions_are_refused(self):
        with pytest.raises(ValueError, match="coils is 0"):
            Acquisition(Uniform(0.4), coils=0)
        with pytest.raises(ValueError, match=r"coils is \(0, 4\)|coils is 0"):
            Acquisition(Uniform(0.4), coils=(0, 4))
        with pytest.raises(ValueError, match=r"coils is \(4, 1\), expected the smaller number first"):
            Acquisition(Uniform(0.4), coils=(4, 1))
        with pytest.raises(ValueError, match="snr is -1"):
            Acquisition(Uniform(0.4), snr=-1)
        with pytest.raises(ValueError, match=r"snr is \(10, inf\)"):
            Acquisition(Uniform(0.4), snr=(10, math.inf))
        with pytest.raises(ValueError, match=r"snr is \(100, 10\), expected the smaller number first"):
            Acquisition(Uniform(0.4), snr=(100, 10))

    def test_the_noise_of_each_sample_is_drawn_between_two_ratios(self):
        clean = dataset(complex_cine(), crops=Crops(crops_per_cine=200))
        noisy = dataset(complex_cine(), crops=Crops(crops_per_cine=200), snr=(10.0, 100.0))
        ratios = []
        for one, other in zip(map(clean.__getitem__, range(200)), map(noisy.__getitem__, range(200)), strict=True):
            noise = (other.measurement * other.scale - one.measurement * one.scale)[one.mask]
            ratios.append((one.target * one.scale).abs().square().mean().sqrt() / noise.real.std())
        logarithms = torch.stack(ratios).log10()
        assert logarithms.min() == pytest.approx(1, abs=0.15)
        assert logarithms.max() == pytest.approx(2, abs=0.15)
        assert logarithms.mean() == pytest.approx(1.5, abs=0.1)


def phantom(root, **choices):
    choices = {"size": (3, 24, 24), "train_series": 2, "val_series": 1, "test_series": 1} | choices
    return CinePhantom(root=root, **choices)


def prepare(root):
    phantom(root).prepare_data()


class TestCinePhantom:
    def test_series_are_drawn_once_and_differ(self, tmp_path):
        prepare(tmp_path)
        written = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
        assert len(written) == 3
        prepare(tmp_path)
        assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == written
        data = phantom(tmp_path)
        assert [cine.name for cine in data.cines("train")] == ["train/0000", "train/0001"]
        series = [cine.frames[:] for split in ("train", "val", "test") for cine in data.cines(split)]
        assert len({one.tobytes() for one in series}) == 4
        assert all(one.dtype == np.complex64 and one.shape == (3, 24, 24) for one in series)

    def test_a_series_does_not_depend_on_how_many_there_are(self, tmp_path):
        few, many = phantom(tmp_path), phantom(tmp_path, train_series=5, val_series=2, test_series=3)
        drawn = {}
        for data in (few, many):
            data.prepare_data()
            drawn[data] = {c.name: c.frames[:].tobytes() for split in data.series for c in data.cines(split)}
        assert drawn[few].items() <= drawn[many].items()
        assert len(set(drawn[many].values())) == 10

    def test_splits_are_measured_differently(self, tmp_path):
        prepare(tmp_path)
        data = phantom(tmp_path)
        masks = [data.dataset(split)[0].mask for split in ("train", "val", "test")]
        assert not any(torch.equal(one, other) for one, other in itertools.combinations(masks, 2))

    def test_the_name_of_the_file_says_what_it_depends_on(self, tmp_path):
        variants = [{}, {"seed": 1}, {"size": (4, 24, 24)}, {"train_series": 3}]
        assert len({phantom(tmp_path, **variant).file("train") for variant in variants}) == len(variants)

    def test_an_interrupted_drawing_leaves_nothing(self, tmp_path, monkeypatch):
        def fail(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("datamodules.dynamic_mri.phantom_files.beating_heart", fail)
        with pytest.raises(KeyboardInterrupt):
            prepare(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_several_processes_may_draw_at_once(self, tmp_path):
        with ProcessPoolExecutor(2, forkserver()) as pool:
            list(pool.map(prepare, [tmp_path] * 2))
        files = {phantom(tmp_path).file(split) for split in ("train", "val", "test")}
        assert set(tmp_path.iterdir()) == files
        assert [len(phantom(tmp_path).cines(split)) for split in ("train", "val", "test")] == [2, 1, 1]

    def test_samples_of_several_coils(self, tmp_path):
        prepare(tmp_path)
        data = phantom(tmp_path, num_workers=2)
        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        assert batch.measurement.shape == (1, 4, 3, 24, 24)
        assert batch.origin == ["synthetic"]


class TestCineImages:
    def test_splits_come_from_their_paths(self, tmp_path):
        for split, value in (("train", 1), ("val", 2), ("test", 3)):
            np.save(tmp_path / f"{split}.npy", np.full(SHAPE, value, np.float32))
        paths = {f"{split}_path": tmp_path / f"{split}.npy" for split in ("train", "val", "test")}
        data = CineImages(**paths, pattern=VariableDensity(0.3), frames=4, crop=(12, 10), crops_per_cine=2)
        data.setup("fit")
        data.setup("test")
        assert next(iter(data.train_dataloader())).target.shape == (1, 4, 12, 10)
        test = next(iter(data.test_dataloader()))
        assert test.target.shape == (1, *SHAPE)
        assert torch.allclose((test.target * test.scale).abs(), torch.tensor(3.0))
        assert test.name == ["test"]

    def test_a_missing_path_is_named(self):
        with pytest.raises(UsageError, match=r"--data\.val_path"):
            CineImages().dataset("val")
        with pytest.raises(UsageError, match=r"--data\.predict_kspace"):
            CineImages().dataset("predict")


@pytest.mark.usefixtures("sandbox_in_this_process")
class TestKSpaceFiles:
    @pytest.fixture
    def arrays(self):
        batch = Sample.stack([dataset(complex_cine(), coils=3)[0]])
        return {
            "kspace": (batch.measurement * batch.scale)[0].numpy(),
            "mask": batch.mask[0, 0].numpy(),
            "coil_sensitivities": batch.coil_sensitivities[0, :, 0].numpy(),
        }, batch

    @staticmethod
    def write(folder, arrays, suffix=".npz"):
        file = folder / f"scan{suffix}"
        if suffix == ".npz":
            np.savez(file, **arrays)
        else:
            with h5py.File(file, "w") as content:
                for name, array in arrays.items():
                    content[name] = array
        return file

    @pytest.mark.parametrize("suffix", [".npz", ".h5"])
    def test_round_trip(self, tmp_path, arrays, suffix):
        arrays, batch = arrays
        sample = read_kspace(self.write(tmp_path, arrays, suffix), Coils())[0]
        assert sample.name == "scan"
        assert sample.origin == "measured"
        assert torch.allclose(sample.measurement, batch.measurement[0], atol=1e-5)
        assert torch.equal(sample.mask, batch.mask[0])
        assert torch.allclose(sample.coil_sensitivities, batch.coil_sensitivities[0])
        assert torch.allclose(sample.scale, batch.scale[0])

    def test_files_of_one_stem_keep_their_suffix(self, tmp_path, arrays):
        for suffix in (".npz", ".h5"):
            self.write(tmp_path, arrays[0], suffix)
        assert [sample.name for sample in read_kspace(tmp_path, Coils())] == ["scan.h5", "scan.npz"]

    @pytest.mark.parametrize("by_matlab", [True, False])
    def test_complex_numbers_as_pairs(self, tmp_path, arrays, by_matlab):
        """MATLAB writes complex numbers as pairs, and reverses the dims."""
        arrays, batch = arrays
        with h5py.File(tmp_path / "scan.h5", "w") as content:
            for name, array in arrays.items():
                pairs = array.view(np.dtype([("real", "<f4"), ("imag", "<f4")])) if array.dtype.kind == "c" else array
                content[name] = pairs.T if by_matlab else pairs
                if by_matlab:
                    content[name].attrs["MATLAB_class"] = np.bytes_("single")
        (sample,) = [KSpaceFiles([tmp_path / "scan.h5"])[0]]
        torch.testing.assert_close(sample.measurement, batch.measurement[0])
        torch.testing.assert_close(sample.coil_sensitivities, batch.coil_sensitivities[0])

    @pytest.mark.parametrize("shape", [(1, 4, 8, 6), (3, 8, 6)], ids=["one slice", "one coil"])
    def test_coils_and_slices_of_fastmri_are_not_taken_for_time(self, tmp_path, shape):
        path = self.write(tmp_path, {"kspace": np.ones(shape, np.complex64), "ismrmrd_header": b"<a/>"}, ".h5")
        with pytest.raises(DataError, match=r"scan\.h5: .*one of fastMRI, whose k-space is \(slice, coil,"):
            KSpaceFiles([path])[0]

    @pytest.mark.parametrize("suffix", [".npz", ".h5"])
    def test_arrays_far_larger_than_the_file_are_not_read(self, tmp_path, suffix):
        path = tmp_path / f"scan{suffix}"
        if suffix == ".npz":
            np.savez_compressed(path, kspace=np.zeros((1, 9, 1024, 1024), np.complex64))
        else:
            with h5py.File(path, "w") as content:
                content.create_dataset("kspace", (1, 100, 2000, 2000), np.complex64, chunks=(1, 1, 64, 64))
        with pytest.raises(DataError, match=rf"scan\{suffix}: \S*kspace would take \d+ MB of memory, more than"):
            KSpaceFiles([path])[0]

    @pytest.mark.parametrize("gain", [1e-25, 1e-3, 30.0])
    def test_sensitivities_may_have_any_scale(self, tmp_path, arrays, gain):
        arrays, batch = arrays
        louder = arrays | {"coil_sensitivities": gain * arrays["coil_sensitivities"]}
        sample = Sample.stack([read_kspace(self.write(tmp_path, louder), Coils())[0]])
        module = DynamicMRI(NuclearNormRecon(iterations=5))
        # Coils that are louder see the same k-space of an image that is fainter.
        expected = module.predict_step(batch, 0) / gain
        assert torch.allclose(
            module.predict_step(sample, 0), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
        )

    def test_a_folder_a_single_coil_and_no_mask(self, tmp_path, arrays):
        arrays, _ = arrays
        self.write(tmp_path, {"kspace": arrays["kspace"][:1]})
        (tmp_path / "notes.txt").touch()
        files = read_kspace(tmp_path, Coils())
        assert len(files) == 1
        assert files[0].coil_sensitivities is None
        assert torch.equal(files[0].mask[0], torch.from_numpy(arrays["mask"]))

    @pytest.mark.parametrize("suffix", [".npz", ".h5"])
    @pytest.mark.parametrize(
        ("kind", "gain"),
        [
            *((np.complex64, gain) for gain in (1e-44, 1e-40, 1e-25, 1e25, 1e36)),
            *((np.complex128, gain) for gain in (1e-300, 1e-200, 1e-44, 1e-25, 1e36, 1e40, 1e200, 1e300)),
        ],
    )
    def test_kspace_and_sensitivities_may_have_any_scale_together(self, tmp_path, arrays, suffix, kind, gain):
        arrays, batch = arrays
        names = ("kspace", "coil_sensitivities")
        changed = {name: (gain * arrays[name].astype(complex)).astype(kind) for name in names}
        sample = read_kspace(self.write(tmp_path, arrays | changed, suffix), Coils())[0]
        tolerance = 0.5 if gain == 1e-44 and kind == np.complex64 else 1e-4  # as coarse as the file
        assert torch.allclose(sample.measurement, batch.measurement[0], atol=tolerance)
        assert torch.allclose(sample.coil_sensitivities, batch.coil_sensitivities[0], atol=tolerance)
        assert torch.allclose(sample.scale, batch.scale[0], rtol=tolerance)

    @pytest.mark.parametrize(
        ("gain", "power"), [(1e-40, r"-4\d"), (1e40, r"\+4\d"), (1e-300, r"-30\d"), (1e300, r"\+30\d")]
    )
    def test_images_beyond_single_precision_are_refused(self, tmp_path, arrays, gain, power):
        arrays, _ = arrays
        file = self.write(tmp_path, arrays | {"kspace": gain * arrays["kspace"].astype(complex)})
        with pytest.raises(DataError, match=rf"scan\.npz: .* maximum of 1e{power}, which is out of the range"):
            read_kspace(file, Coils())[0]

    @pytest.mark.parametrize("suffix", [".npz", ".h5"])
    def test_masks_that_are_none_are_refused(self, tmp_path, arrays, suffix):
        arrays, _ = arrays
        mask = arrays["mask"].astype(float)
        half, nan = mask.copy(), mask.copy()
        half[0, 0, 0], nan[0, 0, 0] = 0.25, np.nan
        flaws = [
            ({"mask": half}, r"the mask holds (0\.25 and 1\.0|1\.0 and 0\.25), expected 0 and one other value"),
            ({"mask": nan}, "the mask holds NaN or infinity, expected 0 and one other value"),
            ({"mask": np.where(mask > 0, b"1", b"0")}, r"the mask is (\|S1|object), expected numbers or booleans"),
            ({"mask": 0 * mask}, "the mask is zero everywhere, expected another value where something is measured"),
            ({"kspace": 0 * arrays["kspace"]}, "kspace is zero everywhere, expected a measurement"),
            ({"mask": 1 - mask}, "kspace is zero wherever the mask samples it, expected a measurement"),
        ]
        for change, message in flaws:
            with pytest.raises(DataError, match=rf"scan\{suffix}: {message}"):
                read_kspace(self.write(tmp_path, arrays | change, suffix), Coils())[0]

    @pytest.mark.parametrize("other", [True, 1, 255, 0.5, 1j])
    def test_masks_of_zero_and_one_other_value(self, tmp_path, arrays, other):
        arrays, batch = arrays
        sample = read_kspace(self.write(tmp_path, arrays | {"mask": arrays["mask"] * other}), Coils())[0]
        assert torch.equal(sample.mask, batch.mask[0])

    def test_every_flaw_names_the_file_and_the_sizes(self, tmp_path, arrays):
        arrays, _ = arrays
        nan = arrays["kspace"].copy()
        nan[1, 2, 3, 4] = np.nan
        flaws = [
            ({"kspace": arrays["kspace"].real}, r"kspace is float32, expected complex"),
            ({"kspace": arrays["kspace"][0]}, r"kspace has shape \(6, 20, 16\), expected \(coil, time"),
            ({"kspace": nan}, r"kspace holds NaN or infinity, first at index \[1, 2, 3, 4\]"),
            ({"kspace": arrays["kspace"][:, :0]}, r"kspace has shape \(3, 0, 20, 16\), expected at least one value"),
            ({"mask": np.full(arrays["mask"].shape, "yes")}, "the mask is <U3, expected numbers or booleans"),
            ({"mask": arrays["mask"][:4]}, r"mask has shape \(4, 20, 16\), but k-space \(3, 6, 20, 16\)"),
            ({"coil_sensitivities": None}, r"k-space of 3 coils needs the array 'coil_sensitivities', \(3, 20, 16\)"),
            ({"coil_sensitivities": arrays["coil_sensitivities"][:2]}, r"\(2, 20, 16\), but k-space \(3, 6, 20, 16\)"),
            ({"coil_sensitivities": 0 * arrays["coil_sensitivities"]}, r"coil_sensitivities are zero everywhere"),
            ({"kspace": None}, r"holds no array 'kspace', only mask, coil_sensitivities"),
        ]  # fmt: skip
        for change, message in flaws:
            changed = {name: array for name, array in (arrays | change).items() if array is not None}
            with pytest.raises(DataError, match=rf"scan\.npz: .*{message}"):
                read_kspace(self.write(tmp_path, changed), Coils())[0]

    def test_unreadable_files(self, tmp_path):
        (tmp_path / "broken.h5").write_bytes(b"not HDF5")
        with pytest.raises(DataError, match=r"broken\.h5: cannot be read"):
            read_kspace(tmp_path, Coils())[0]
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read_kspace(tmp_path / "nowhere", Coils())
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileNotFoundError, match=r"no .*\.npz file in the folder"):
            read_kspace(tmp_path / "empty", Coils())
        (tmp_path / "scan.txt").touch()
        with pytest.raises(DataError, match=r"scan\.txt: expected a file of"):
            read_kspace(tmp_path / "scan.txt", Coils())
        np.savez(tmp_path / "nothing.npz")
        with pytest.raises(DataError, match=r"nothing\.npz: holds no array 'kspace'"):
            read_kspace(tmp_path / "nothing.npz", Coils())[0]
        with zipfile.ZipFile(tmp_path / "words.npz", "w") as archive:
            archive.writestr("kspace", "no array")
        with pytest.raises(DataError, match=r"words\.npz: kspace is \|S8, expected complex"):
            read_kspace(tmp_path / "words.npz", Coils())[0]
        (tmp_path / "folder.h5").mkdir()
        with pytest.raises(FileNotFoundError, match=r"in the folder .*folder\.h5"):
            read_kspace(tmp_path / "folder.h5", Coils())
