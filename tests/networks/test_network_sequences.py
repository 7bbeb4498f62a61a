"""SequenceNet: what it reads from one picture, and from a window for each position."""

from functools import partial

import pytest
import torch

from stn_lightning import ParallelSpatialTransformers, SpatialTransformer
from stn_lightning.localisations import FullyConnected
from stn_lightning.networks import SequenceNet, count_parameters
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import Affine

SHAPE = (2, 40, 40)
SMALL = partial(SequenceNet, filters=(4, 5), units=6)
WINDOWS = torch.tensor([[0.5, 0, -0.5, 0, 0.5, 0], [0.5, 0, 0, 0, 0.5, 0], [0.5, 0, 0.5, 0, 0.5, 0]])


def parallel(shape, windows=WINDOWS):
    return ParallelSpatialTransformers(FullyConnected(shape, windows, units=(3,)), Affine(), Bilinear(), (20, 20))


def single(shape):
    return SpatialTransformer(FullyConnected(shape, WINDOWS[1:2], units=(3,)), Affine(), Bilinear(), (20, 20))


def make(transformer=None, **options):
    torch.manual_seed(0)
    return SMALL(SHAPE, 7, 3, {} if transformer is None else {"input": transformer}, **options)


@pytest.mark.parametrize(
    ("transformer", "names"),
    [(None, []), (single, ["input"]), (parallel, ["input.1", "input.2", "input.3"])],
    ids=["cnn", "one", "three"],
)
def test_prediction_has_a_row_for_each_position(transformer, names):
    net, x = make(transformer), torch.rand(5, *SHAPE)
    prediction, warps = net(x)
    assert prediction.shape == (5, 3, 8)
    assert list(warps) == names
    torch.testing.assert_close(net(x[2:3]).prediction, prediction[2:3])


def test_each_position_is_read_from_its_own_window_by_the_same_layers():
    net, x = make(parallel), torch.rand(2, *SHAPE)
    for number, window in enumerate(net.transformers["input"](x)):
        features = window.output
        for name, stage in net.stages.items():
            features = features if name == "apart" else stage(features)
        torch.testing.assert_close(net(x).prediction[:, number], net.classifiers(features))


def test_positions_change_places_with_their_windows():
    net, x = make(parallel), torch.rand(2, *SHAPE)
    before = net(x).prediction
    with torch.no_grad():
        net.transformers["input"].localisations[0].head.bias.copy_(WINDOWS.flip(0).flatten())
    torch.testing.assert_close(net(x).prediction, before.flip(1))


def test_one_picture_has_a_classifier_for_each_position():
    net, x = make(), torch.rand(2, *SHAPE)
    with torch.no_grad():
        net.classifiers.bias[8:16] += 1
    raised = net(x).prediction
    with torch.no_grad():
        net.classifiers.bias[8:16] -= 1
    moved = raised - net(x).prediction
    torch.testing.assert_close(moved, torch.tensor([0.0, 1.0, 0.0])[:, None].expand(2, -1, 8))


def test_parameters_of_the_reader_are_those_of_the_authors_code():
    """Of a window of 33x33 pixels: 32 filters thrice, and a map of 32x4x4 before 400 units; null is one class more."""
    convolutions = 9 * 32 + 32 + 2 * (9 * 32 * 32 + 32)
    layers = 32 * 4 * 4 * 400 + 400 + 400 * 11 + 11
    assert count_parameters(SequenceNet((1, 33, 33), 10, 1)) == convolutions + layers


def test_windows_share_what_reads_them():
    single_reader, three = make(single), make(parallel)
    assert count_parameters(three.stages) == count_parameters(single_reader.stages)
    assert three.classifiers.out_features * 3 == single_reader.classifiers.out_features == 3 * 8


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"transformers": {"conv1": single}}, "placements among input; got conv1"),
        ({"transformers": {"input": partial(parallel, windows=WINDOWS[:2])}}, "one window or 3, one for each position; got 2"),
        ({"filters": ()}, r"filters and units of at least 1; got .*filters=\(\)"),
        ({"filters": (4, 0)}, "filters and units of at least 1"),
        ({"units": 0}, "units=0"),
        ({"max_length": 0}, "max_length=0"),
        ({"input_shape": (2, 10, 10), "filters": (4, 4, 4)}, "too small: stage 'conv3'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ValueError, match=text):
        SMALL(**{"input_shape": SHAPE, "num_classes": 7, "max_length": 3, **options})


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected images of shape \(B, 2, 40, 40\), got \(3, 2, 40, 41\)"):
        make()(torch.zeros(3, 2, 40, 41))
