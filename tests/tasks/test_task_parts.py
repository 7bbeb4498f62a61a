"""What PartsClassification builds, computes, measures and refuses."""

from functools import partial

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from stn_lightning.localisations import FullyConnected, SoftArgmax
from stn_lightning.networks import Output
from stn_lightning.penalties import outside, overlap
from stn_lightning.tasks import PartCoverage, PartsClassification
from stn_lightning.tasks._windows import box_iou, covers, tiling
from stn_lightning.transforms import Affine, Attention, Projective, Similarity, ThinPlateSpline, Translation
from stn_lightning.transforms import registry as transforms

SHAPE = (3, 32, 32)
SMALL = partial(FullyConnected, units=(8,))


def make(**options):
    torch.manual_seed(0)
    return PartsClassification(SHAPE, 6, **{"localisation": SMALL, **options})


class Figures(LightningDataModule):
    """Noise with parts and boxes, as `Birds` has them."""

    input_shape, num_classes, part_names = SHAPE, 6, ("head", "body")
    statistics = (torch.tensor([0.2, 0.4, 0.6]), torch.tensor([0.5, 0.25, 0.125]))

    def __init__(self, count=22):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(count, *SHAPE, generator=generator)
        self.targets = torch.randint(0, 6, (count,), generator=generator)
        points = torch.rand(count, 2, 2, generator=generator) * 2 - 1
        visible = (torch.rand(count, 2, 1, generator=generator) < 0.8).float()
        self.parts = torch.cat([points, visible], dim=2)
        corners = (torch.rand(count, 2, 2, generator=generator) * 2 - 1).sort(dim=1).values
        self.boxes = corners.flatten(1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(self.images, self.targets, self.parts, self.boxes), batch_size=8)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


@pytest.fixture
def data():
    return Figures()


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 9])
@pytest.mark.parametrize("scale", [0.5, 0.6, 1.0])
def test_windows_tile_the_image(heads, scale):
    """Every window lies inside, and where they are large enough, together they leave no point out."""
    x, y = tiling(Translation(scale), heads, scale).unbind(1)
    assert float((x.abs() + scale).max()) <= 1 + 1e-6
    assert float((y.abs() + scale).max()) <= 1 + 1e-6
    if heads in (4, 9) or scale == 1:
        points = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
        inside = ((points[:, None] - torch.stack([x, y], dim=1)).abs() <= scale + 1e-6).all(2)
        assert bool(inside.any(1).all())


def test_two_windows_stand_side_by_side():
    assert tiling(Translation(0.5), 2, 0.5).tolist() == [[-0.5, 0.0], [0.5, 0.0]]


@pytest.mark.parametrize("transform", [Attention(), Similarity(), Affine(), Projective(), ThinPlateSpline(grid_size=3)])
def test_any_transform_of_upright_windows_starts_alike(transform):
    wanted = Translation(0.5).grid(tiling(Translation(0.5), 4, 0.5), (7, 9))
    grid = transform.grid(tiling(transform, 4, 0.5), (7, 9))
    torch.testing.assert_close(grid, wanted, rtol=0, atol=1e-6)


def test_transform_without_such_windows_needs_initial():
    with pytest.raises(ValueError, match=r"upright windows of 0.5 of the image, or initial.*off by 0.2"):
        make(transform=Translation(0.7))
    task = make(transform=Translation(0.7), initial=[[0.1, 0.0], [-0.1, 0.2]])
    warps = task(torch.rand(2, *SHAPE)).warps
    assert warps["input.2"].theta[1].tolist() == pytest.approx([-0.1, 0.2])


@pytest.mark.parametrize("parts", [0, 1, 2, 4])
def test_parts_are_cut_described_and_classified(parts):
    task = make(num_parts=parts).eval()
    output = task(torch.rand(3, *SHAPE))
    assert output.prediction.shape == (3, 6)
    assert list(output.warps) == [f"input.{i}" for i in range(1, parts + 1)]
    assert {tuple(warp.output.shape) for warp in output.warps.values()} <= {(3, 3, 16, 16)}
    assert task.network.classifier.in_features == 128 * max(1, parts)


@pytest.mark.parametrize("shared", [False, True])
def test_description_of_each_part_is_its_own_unless_shared(shared):
    network = make(num_parts=3, shared=shared).network
    assert len(network.descriptions) == (1 if shared else 3)
    assert network(torch.rand(2, *SHAPE)).prediction.shape == (2, 6)


def test_default_localisation_net_sees_the_image_at_the_size_of_a_part():
    task = PartsClassification((3, 64, 64), 6, window=0.5)
    localisation = task.network.transformers.localisations[0]
    seen = []
    localisation.feature_map[1].register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape)))
    task(torch.rand(2, 3, 64, 64))
    assert seen == [(2, 3, 32, 32)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_parts": -1}, "num_parts of at least 0, got -1"),
        ({"outside_penalty": -0.5}, "outside_penalty of at least 0"),
        ({"window": 1.5}, r"window in \(0, 1\], got 1.5"),
        ({"initial": [[0.0, 0.0]]}, "initial with 2 thetas of 2 numbers"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\)"),
        ({"part_size": 0}, "part_size .* of at least 1 pixel, got 0"),
        ({"window": 0.005}, "window of the image's side. of at least 1 pixel, got 0"),
        ({"backbone": "resnet99"}, "backbone 'small' or 'tiny', or a classifier of torchvision"),
        ({"frozen_epochs": -1}, "frozen_epochs of at least 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ValueError, match=text):
        make(**options)


def window(x, y, scale=0.5):
    return Translation(scale).grid(torch.tensor([[x, y]]), (9, 9))


def test_windows_inside_the_image_cost_nothing():
    assert float(outside(window(0.5, -0.5))) == 0
    assert float(outside(window(1.0, 0.0))) > 0
    assert float(outside(window(1.2, 0.0))) > float(outside(window(1.0, 0.0)))


def test_overlap_falls_from_one_to_nothing_a_side_apart():
    first = window(0.0, 0.0)
    assert float(overlap(first, first)) == pytest.approx(1)
    values = [float(overlap(first, window(x, 0.0))) for x in (0.1, 0.3, 0.6, 1.0, 1.4)]
    assert values == sorted(values, reverse=True)
    assert values[-2:] == pytest.approx([0, 0], abs=0.12)


def slopes(**options):
    """d penalty / d x of each window; they stand at x = 0.9 and 0.8."""
    task = make(initial=[[0.9, 0.0], [0.8, 0.0]], **options)
    images = torch.rand(2, *SHAPE)
    output = task(images)
    return [g[:, 0] for g in torch.autograd.grad(task.penalty(output, images), [warp.theta for warp in output.warps.values()])]


def test_penalties_push_windows_back_and_apart():
    first, second = slopes(outside_penalty=1.0)
    assert (first > 0).all()  # to the right it grows
    assert (second > 0).all()
    first, second = slopes(outside_penalty=0.0, overlap_penalty=1.0)
    assert (first < 0).all()
    assert (second > 0).all()


def test_penalties_are_off_at_zero():
    task = make(outside_penalty=0.0, initial=[[0.9, 0.0], [0.8, 0.0]])
    images = torch.rand(2, *SHAPE)
    assert task.penalty(task(images), images) == 0


def test_points_are_covered_as_polygons_say():
    """Against a polygon test that nobody here wrote."""
    from skimage.measure import points_in_poly

    theta = torch.tensor([[0.4, -0.2, 0.1, 0.3, 0.5, -0.2]])
    grid = Affine().grid(theta, (11, 13))
    corners = Affine().points(theta, torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]))[0]
    points = torch.rand(1, 400, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = points_in_poly(points[0].numpy(), corners.numpy())
    assert covers(grid, points)[0].tolist() == expected.tolist()
    assert 0 < expected.sum() < 400


def test_box_is_seen_as_far_as_it_is_in_the_image():
    grid = Translation(1.0).grid(torch.zeros(1, 2), (64, 64)) * 64 / 63  # from edge to edge
    assert box_iou(grid, torch.tensor([[-1.5, -1.0, 2.0, 1.2]])) == pytest.approx(1)


def test_box_iou_against_torchvision():
    from torchvision.ops import box_iou as oracle

    generator = torch.Generator().manual_seed(0)
    corners = (torch.rand(20, 2, 2, generator=generator) * 2 - 1).sort(dim=1).values
    boxes = corners.flatten(1)
    shift = torch.rand(20, 2, generator=generator) - 0.5
    grid = Translation(0.5).grid(shift, (65, 65), align_corners=True)
    windows = torch.cat([shift - 0.5, shift + 0.5], dim=1).clamp(-1, 1)
    torch.testing.assert_close(box_iou(grid, boxes), oracle(windows, boxes).diagonal(), rtol=0, atol=1e-6)


def test_coverage_counts_visible_parts():
    metric = PartCoverage(["head", "body", "tail"], 2)
    warps = [make(initial=[[-0.5, 0.0], [0.5, 0.0]])(torch.rand(2, *SHAPE)).warps[f"input.{i}"] for i in (1, 2)]
    parts = torch.tensor(
        [
            [[-0.5, 0.0, 1.0], [0.5, 0.2, 1.0], [0.0, 0.0, 0.0]],
            [[-0.5, 0.9, 1.0], [0.5, 0.2, 0.0], [0.0, 0.0, 0.0]],
        ]
    )
    metric.update(warps, parts, torch.tensor([[-1.0, -0.5, 0.0, 0.5]] * 2))
    values = {name: float(value) for name, value in metric.compute().items()}
    assert {name: value for name, value in values.items() if "covered" in name} == {
        "covered_head": 0.5,
        "covered_head_by_1": 0.5,
        "covered_head_by_2": 0.0,
        "covered_body": 1.0,
        "covered_body_by_1": 0.0,
        "covered_body_by_2": 1.0,
    }
    assert values["box_iou_by_1"] == pytest.approx((15 / 16) ** 2, abs=1e-6)  # the grid's points are centres of pixels
    assert values["box_iou_by_2"] == 0


@pytest.mark.parametrize("parts", [0, 2])
def test_metrics_of_an_evaluation(data, trainer, parts):
    task = make(num_parts=parts)
    (logged,) = trainer().validate(task, data, verbose=False)
    with torch.no_grad():
        output = task.eval()(data.images)
    top = output.prediction.topk(5).indices
    assert logged["val/error_top5"] == pytest.approx(1 - float((top == data.targets[:, None]).any(1).float().mean()), abs=1e-6)
    assert logged["val/error"] == pytest.approx(float((output.prediction.argmax(1) != data.targets).float().mean()), abs=1e-6)
    assert ("val/covered_head" in logged) == (parts > 0)


def mapped(**options):
    return make(localisation=partial(SoftArgmax, downsample=1), **{"localisation_loss": 0.5, **options})


def gradients(of, module):
    found = torch.autograd.grad(of, list(module.parameters()), retain_graph=True, allow_unused=True)
    return sum(0.0 if g is None else float(g.abs().sum()) for g in found)


def test_auxiliary_loss_alone_trains_the_map_that_windows_are_pointed_by(data):
    task = mapped(initial=[[-0.4, 0.1], [0.4, 0.1]]).train()
    (net,) = task.network.transformers.localisations
    output = task(data.images)
    loss = torch.nn.functional.cross_entropy(output.prediction, data.targets)
    auxiliary = torch.nn.functional.cross_entropy(output.auxiliary, data.targets)
    assert gradients(loss, net.feature_map) == 0 < gradients(loss, net.trunk)
    assert gradients(auxiliary, net.trunk) == 0 < gradients(auxiliary, net.feature_map)
    torch.testing.assert_close(task.loss(output, data.targets), loss + 0.5 * auxiliary)


def test_evaluation_has_no_auxiliary_classifier(data):
    for task in (mapped().eval(), mapped(localisation_loss=0.0).train(), mapped(num_parts=0).train()):
        assert type(task(data.images)) is Output


def test_compiled_network_has_its_auxiliary_classifier(data):
    torch._dynamo.reset()
    task = mapped(dropout=0.0).train()
    network = torch.compile(task.network, backend="eager", fullgraph=True)
    torch.testing.assert_close(network(data.images).auxiliary, task.network(data.images).auxiliary)


def test_task_with_an_auxiliary_classifier_trains_and_is_built_again(data, trainer, built_again):
    task = mapped()
    before = task.network.auxiliary.weight.detach().clone()
    trainer(max_epochs=1).fit(task, data)
    assert not torch.equal(before, task.network.auxiliary.weight)
    again = built_again(task, data)
    with torch.no_grad():
        assert torch.equal(task.eval()(data.images)[0], again(data.images)[0])


def test_auxiliary_classifier_needs_a_map():
    with pytest.raises(ValueError, match=r"feature map, such as backbone or soft_argmax, .* got FullyConnected"):
        make(localisation_loss=1.0)
    with pytest.raises(ValueError, match="localisation_loss of at least 0, got -1"):
        make(localisation_loss=-1)


def test_data_without_parts_trains_too(data, trainer):
    data.part_names = ()
    data.train_dataloader = data.val_dataloader = lambda: DataLoader(TensorDataset(data.images, data.targets), batch_size=8)
    task = make()
    machine = trainer(max_epochs=1)
    machine.fit(task, data)
    assert "val/error" in machine.callback_metrics


def test_frozen_windows_stay_until_they_may_move(data, trainer):
    for frozen, moved in ((2, False), (1, True)):
        task = make(
            frozen_epochs=frozen, optimizer=partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1), localisation_lr_scale=1.0
        )
        net = task.network.transformers.localisations[0]
        before = [p.detach().clone() for p in net.parameters()]
        others = task.network.classifier.weight.detach().clone()
        trainer(max_epochs=2).fit(task, data)
        same = all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
        assert same != moved
        assert not torch.equal(others, task.network.classifier.weight)


def test_task_is_built_again_from_its_checkpoint(data, built_again):
    task = make(transform=transforms["attention"](), num_parts=3, overlap_penalty=0.1, initial=[[0.5, 0, 0]] * 3)
    again = built_again(task, data)
    with torch.no_grad():
        assert torch.equal(task.eval()(data.images)[0], again(data.images)[0])
