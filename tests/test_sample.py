"""Samples are stacked, moved, and taken from batches with all that belongs to them."""

import pytest
import torch

from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Geometry, Sample, known_target


def series(number):
    values = torch.full((2, 3, 4, 5), number, dtype=torch.complex64)
    geometry = Geometry(torch.full((3,), number), torch.eye(3), torch.ones(3), torch.arange(3.0), torch.tensor(5))
    mask = torch.ones(1, 3, 4, 5, dtype=torch.bool)
    return Sample(values, None, mask, None, torch.tensor(2.0), f"series {number:g}", "measured", geometry)


def test_a_stacked_sample_is_found_in_the_batch():
    batch = Sample.stack([series(1.0), series(2.0)])
    assert batch.name == ["series 1", "series 2"]
    assert batch.target is batch.coil_sensitivities is None
    assert batch.geometry.directions.shape == (2, 3, 3)
    second = batch.at(1)
    assert second.name == "series 2"
    assert torch.equal(second.measurement, series(2.0).measurement)
    assert all(map(torch.equal, second.geometry, series(2.0).geometry))


def test_the_first_samples_are_a_batch():
    first = Sample.stack([series(1.0), series(2.0), series(3.0)]).first(2)
    assert first.name == ["series 1", "series 2"]
    assert first.measurement.shape == (2, 2, 3, 4, 5)
    assert first.geometry.centre.shape == (2, 3)


def test_all_tensors_move():
    moved = Sample.stack([series(1.0)]).to("meta")
    assert {tensor.device.type for tensor in (moved.measurement, moved.mask, moved.scale, *moved.geometry)} == {"meta"}
    assert moved.name == ["series 1"]


@pytest.mark.parametrize("field", ["measurement", "target", "mask"])
def test_samples_of_different_sizes_are_no_batch(field):
    one, other = (series(number)._replace(target=torch.ones(3, 4, 5)) for number in (1.0, 2.0))
    other = other._replace(**{field: getattr(other, field)[..., :4]})
    message = rf"the {field} of series 1 is \(.*4, 5\), that of series 2 \(.*4, 4\), .* --data\.batch_size 1, .*crop"
    with pytest.raises(UsageError, match=message):
        Sample.stack([one, other])


@pytest.mark.parametrize("field", ["target", "coil_sensitivities"])
def test_samples_with_and_without_a_field_are_no_batch(field):
    one, other = series(1.0), series(2.0)._replace(**{field: torch.ones(3, 4, 5)})
    for samples in ([one, other], [other, one]):
        with pytest.raises(UsageError, match=rf"the {field.replace('_', ' ')} of .* missing.*--data\.batch_size 1"):
            Sample.stack(samples)


def test_an_unknown_target_is_missed_with_the_names():
    with pytest.raises(UsageError, match=r"of series 1, series 2 only the measurement is known"):
        known_target(Sample.stack([series(1.0), series(2.0)]))


def test_a_sample_needs_a_mask():
    with pytest.raises(UsageError, match=r"the mask of series 2 is None, expected booleans.*torch\.ones_like"):
        Sample.stack([series(1.0), series(2.0)._replace(mask=None)])
