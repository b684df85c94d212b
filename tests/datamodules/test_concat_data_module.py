"""Several DataModules as one."""

import csv
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from conftest import SHORT, SMALL_NETWORK

from datamodules import CinePhantom, ConcatDataModule, EllipticPhantom, ReconstructionDataModule, SamplePhotos
from datamodules.loading.samplers import DrawSampler
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial

SIZE = (2, 24, 20)


class Numbers(ReconstructionDataModule):
    """A number of images, which are their index plus an offset."""

    def __init__(self, number, offset, **kwargs):
        super().__init__(**kwargs)
        self.number, self.offset = number, offset

    def dataset(self, split):
        values = [self.offset + index for index in range(self.number)]
        return [
            Sample(torch.full((1, 1, 1), value), None, torch.ones(1), None, torch.tensor(1), f"{value}", "synthetic")
            for value in values
        ]


def names(dataset, draws):
    return [dataset[draw].name for draw in draws]


class TestConcatDataModule:
    def test_an_epoch_holds_every_sample_of_every_part_once(self):
        data = ConcatDataModule([Numbers(3, 0), Numbers(2, 10), Numbers(4, 20)])
        data.setup("fit")
        dataset = data.datasets["train"]
        assert len(dataset) == 9
        expected = {"0", "1", "2", "10", "11", "20", "21", "22", "23"}
        sampler = DrawSampler(dataset, num_replicas=1, rank=0)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            drawn = list(sampler)
            assert sorted(drawn) == list(range(9 * epoch, 9 * (epoch + 1)))
            assert Counter(names(dataset, drawn)) == Counter(expected)
        assert len(data.val_dataloader()) == 9

    @pytest.mark.parametrize("epoch", [0, 3])
    def test_a_draw_is_that_of_the_same_epoch_of_its_part(self, epoch):
        pattern = PseudoRadial(lines=5)
        parts = [
            CinePhantom(SIZE, train_series=3, pattern=pattern, crops_per_cine=2, seed=1),
            EllipticPhantom(pattern, coils=2, size=SIZE, train_series=2, seed=2),
        ]
        data = ConcatDataModule(parts, seed=3)
        data.prepare_data()
        dataset = data.drawn_dataset("train")
        alone = [part.drawn_dataset("train") for part in parts]
        expected = [alone[0][6 * epoch + index] for index in range(6)] + [alone[1][2 * epoch + i] for i in range(2)]
        for index, sample in enumerate(expected):
            found = dataset[8 * epoch + index]
            assert found.name == sample.name
            assert torch.equal(found.measurement, sample.measurement)

    def test_equal_parts_draw_other_samples(self):
        parts = [EllipticPhantom(PseudoRadial(lines=5), coils=2, size=SIZE, train_series=1) for _ in range(2)]
        dataset = ConcatDataModule(parts).drawn_dataset("train")
        assert not torch.equal(dataset[0].target, dataset[1].target)

    def test_predict_reads_the_first_part(self):
        data = ConcatDataModule([Numbers(2, 0), Numbers(2, 10)])
        data.setup("predict")
        assert [batch.name for batch in data.predict_dataloader()] == [["0"], ["1"]]

    def test_an_error_names_the_part(self):
        data = ConcatDataModule([CinePhantom(SIZE, crop=(32, 32)), CinePhantom(SIZE)])
        data.prepare_data()
        with pytest.raises(UsageError, match=r"part 1, CinePhantom: .* crop of 32 in height does not fit: .*parts"):
            data.setup("fit")

    def test_parts_of_other_tasks_are_refused(self):
        with pytest.raises(ValueError, match=r"\(channel, height, width\) and \(time, height, width\), expected"):
            ConcatDataModule([CinePhantom(SIZE), SamplePhotos()])


def test_a_network_trains_on_two_kinds_of_series(command_line, tmp_path):
    size = {"size": [3, 24, 20], "train_series": 2, "val_series": 1, "test_series": 2}
    pattern = {"class_path": "PseudoRadial", "init_args": {"lines": 5}}
    parts = [
        {"class_path": kind, "init_args": {**size, "pattern": pattern}} for kind in ("CinePhantom", "EllipticPhantom")
    ]
    (tmp_path / "parts.yaml").write_text(yaml.safe_dump(parts))
    options = [*SHORT, *SMALL_NETWORK, "--model.network.start", "ZeroFilled", "--trainer.limit_test_batches", "4"]
    words = ["--config", "dynamic_mri/demo.yaml", "--data", "ConcatDataModule", "--data.parts", "parts.yaml", *options]
    command_line("fit", *words)
    command_line("test", *words)
    (table,) = Path("runs").rglob("test/metrics.csv")
    with table.open() as file:
        origins = [row["origin"] for row in csv.DictReader(file)]
    assert origins == ["synthetic"] * 4 + ["", ""]  # two series of each part; mean and standard deviation
