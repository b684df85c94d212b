"""CRNN-MRI: its size, its two directions of time, and weights that iterations share."""

import torch
from safetensors.torch import save
from test_networks import acquisition

from lowrank_unroll.networks import CRNN
from lowrank_unroll.networks.crnn import BidirectionalConvolution, RecurrentConvolution
from lowrank_unroll.operators import Fourier, Mask, SingleCoil


def test_it_has_the_published_size_for_any_number_of_iterations():
    for iterations in (1, 10):
        assert sum(weight.numel() for weight in CRNN(iterations=iterations).parameters()) == 297_794


def test_a_series_backwards_is_reconstructed_backwards():
    torch.manual_seed(0)
    network = CRNN(features=4, iterations=3)
    series, mask = torch.randn(2, 5, 8, 7, dtype=torch.complex64), torch.rand(2, 1, 5, 8, 7) < 0.5

    def reconstruct(series, mask):
        operator = Mask(mask) @ Fourier() @ SingleCoil()
        return network(operator(series), operator)

    backwards = reconstruct(series.flip(1), mask.flip(2)).flip(1)
    assert torch.allclose(backwards, reconstruct(series, mask), atol=1e-5)


def test_information_passes_between_all_frames_in_both_directions():
    torch.manual_seed(0)
    layer = BidirectionalConvolution(2, 4)
    frames, previous = torch.randn(1, 6, 3, 3, 2, requires_grad=True), torch.zeros(1, 6, 3, 3, 4)
    for frame in (0, 5):
        (gradient,) = torch.autograd.grad(layer(frames, previous)[:, frame].sum(), frames)
        assert (gradient.abs().sum((0, 2, 3, 4)) > 0).all()


def test_without_the_recurrence_over_time_both_directions_are_one_layer_over_iterations():
    torch.manual_seed(0)
    both, single = BidirectionalConvolution(2, 4), RecurrentConvolution(2, 4)
    torch.nn.init.zeros_(both.from_neighbor.weight)
    torch.nn.init.zeros_(both.from_neighbor.bias)
    single.load_state_dict({name: value for name, value in both.state_dict().items() if "neighbor" not in name})
    frames, previous = torch.randn(2, 3, 5, 4, 2), torch.randn(2, 3, 5, 4, 4)
    assert torch.allclose(both(frames, previous), 2 * single(frames, previous), atol=1e-6)


def test_iterations_share_their_weights_but_not_their_hidden_features():
    torch.manual_seed(0)
    measurement, operator = acquisition()
    network = CRNN(features=4, iterations=3)
    states = list(network.states(measurement, operator))
    assert len(states) == 4
    (iteration,) = network.iterations
    state = states[0]
    for expected in states[1:]:
        state = iteration(state, measurement, operator)
        assert torch.allclose(state.image, expected.image, atol=1e-5)
    forgotten = states[1]._replace(hidden=torch.zeros_like(states[1].hidden))
    assert not torch.allclose(iteration(forgotten, measurement, operator).image, states[2].image, atol=1e-5)


def test_shared_weights_stand_once_in_a_file():
    weights = CRNN(features=2, iterations=4).state_dict()
    assert {name.split(".")[1] for name in weights} == {"0"}
    assert save(weights)  # which refuses a tensor under two names


def test_the_samples_of_a_single_coil_are_returned():
    measurement, operator = acquisition(coils=1)
    reconstruction = CRNN(features=4, iterations=2)(measurement, operator)
    assert torch.allclose(operator(reconstruction), measurement, atol=1e-5)
