import math

import pytest
import torch

from lowrank_unroll.operators import (
    Diagonal,
    NonUniformFourier,
    density_weights,
    radial_weights,
    unit_norm_weights,
)
from lowrank_unroll.sampling import GoldenAngleRadial

SIDE = 16
WEIGHTS = {
    "analytic": radial_weights,
    "iterated": lambda trajectory, _: density_weights(trajectory, (SIDE, SIDE)),
    "uniform": lambda trajectory, _: torch.ones(trajectory.shape[:-1]),
}


def radial(spokes, angles=None, readout=2 * SIDE, time=1):
    golden = math.pi * (math.sqrt(5) - 1) / 2
    angles = torch.arange(time * spokes) * golden if angles is None else torch.as_tensor(angles)
    radius = (torch.arange(readout) - readout // 2) * SIDE / readout
    lines = torch.stack([angles[:, None].sin() * radius, angles[:, None].cos() * radius], -1)
    return lines.reshape(1, time, -1, 2)


def test_weights_of_many_spokes_add_up_to_the_disc():
    spokes, disc = 120, math.pi * (SIDE / 2) ** 2
    assert float(radial_weights(radial(spokes), spokes).sum()) == pytest.approx(disc, rel=1e-3)
    assert float(density_weights(radial(spokes), (SIDE, SIDE)).sum()) == pytest.approx(disc, rel=0.1)


def test_weights_of_evenly_turned_spokes_are_the_ramp():
    spokes = 100
    weights = radial_weights(radial(spokes, torch.arange(spokes) * math.pi / spokes), spokes).reshape(spokes, -1)
    radius = (torch.arange(2 * SIDE) - SIDE).abs() / 2
    expected = math.pi / spokes * torch.where(radius > 0, radius / 2, 1 / 16)  # spacing 1/2: a disc of radius 1/4
    assert torch.allclose(weights, expected.expand(spokes, -1), rtol=1e-4)


def test_weights_do_not_depend_on_order_direction_or_turn():
    angles = torch.tensor([0.1, 0.5, 1.3, 2.9], dtype=torch.float64)
    weights = radial_weights(radial(4, angles), 4).reshape(4, -1)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = radial_weights(radial(4, angles[order] + 0.7), 4).reshape(4, -1)
    assert torch.allclose(shuffled, weights[order])
    turned = radial_weights(radial(4, angles + torch.tensor([0, math.pi, 0, math.pi])), 4).reshape(4, -1)
    assert torch.allclose(turned, weights)


def test_weights_of_few_spokes_stay_at_what_sampling_needs():
    trajectory = radial(5)
    assert float(radial_weights(trajectory, 5).max()) == pytest.approx(0.5)  # samples every half cycle
    # The last samples of a spoke have a neighbor on one side alone.
    assert float(density_weights(trajectory, (SIDE, SIDE)).max()) <= 1
    alone = density_weights(torch.tensor([[[[3.2, -4.1]]]]), (SIDE, SIDE))
    assert float(alone) == pytest.approx(1, abs=0.15)


def test_iterated_weights_are_those_of_the_ring_sectors():
    spokes = 60
    trajectory = radial(spokes)
    inner = torch.linalg.vector_norm(trajectory, dim=-1) < 0.4 * SIDE
    analytic, iterated = radial_weights(trajectory, spokes)[inner], density_weights(trajectory, (SIDE, SIDE))[inner]
    assert float((analytic - iterated).norm() / analytic.norm()) < 0.2


def test_samples_that_are_taken_twice_have_half_the_weight():
    once = radial(60)
    twice = density_weights(torch.cat([once, once], 2), (SIDE, SIDE))
    assert torch.allclose(twice[..., : once.shape[2]], density_weights(once, (SIDE, SIDE)) / 2, rtol=1e-3, atol=1e-5)


def test_frames_have_weights_of_their_own():
    trajectory = radial(6, time=3)
    for give in (lambda part: density_weights(part, (SIDE, SIDE)), lambda part: radial_weights(part, 6)):
        assert torch.allclose(give(trajectory)[:, 1:2], give(trajectory[:, 1:2]), rtol=1e-4)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("spokes", [5, 40])
def test_weights_of_unit_norm(kind, spokes):
    trajectory = torch.cat([radial(spokes, time=2), 0.5 * radial(spokes, time=2)])
    weights = unit_norm_weights(WEIGHTS[kind](trajectory, spokes), trajectory, (SIDE, SIDE))
    for one, item in zip(weights, trajectory, strict=True):
        A = Diagonal(one.sqrt()[None, None]) @ NonUniformFourier(item[None], (SIDE, SIDE))
        norm = A.norm(torch.ones(1, 1, 2, SIDE, SIDE) + 0j, iterations=60)
        assert 0.98 <= float(norm) <= 1.01


def test_unit_norm_does_not_depend_on_the_scale():
    trajectory = radial(8)
    weights = radial_weights(trajectory, 8)
    one, thousand = (unit_norm_weights(scale * weights, trajectory, (SIDE, SIDE)) for scale in (1, 1000))
    assert torch.allclose(one, thousand, rtol=1e-4)


def test_wrong_numbers_of_spokes_are_refused():
    with pytest.raises(ValueError, match=r"^trajectory is \(1, 1, 160, 2\), expected 7 spokes of two samples or more$"):
        radial_weights(radial(5), 7)
    with pytest.raises(ValueError, match=r"expected 160 spokes of two samples"):
        radial_weights(radial(5), 160)
    with pytest.raises(
        ValueError, match=r"^weights is \(1, 1, 3\), expected a shape that broadcasts to \(1, 1, 160\)$"
    ):
        unit_norm_weights(torch.ones(1, 1, 3), radial(5), (SIDE, SIDE))
    with pytest.raises(ValueError, match="iterations is 0"):
        density_weights(radial(5), (SIDE, SIDE), 0)


def test_masked_samples_do_not_count():
    trajectory = GoldenAngleRadial(20, 64)((2, 32, 32), torch.Generator().manual_seed(0))[None] * 1.5
    mask = (trajectory.abs() <= 16).all(-1)
    weights = density_weights(trajectory, (32, 32), mask=mask)
    assert not weights[~mask].any()
    for frame in range(2):
        inside = trajectory[:, frame : frame + 1][:, :, mask[0, frame]]
        alone = density_weights(inside, (32, 32))
        assert torch.allclose(weights[0, frame][mask[0, frame]], alone[0, 0], rtol=1e-3)
