"""What SequenceRecognition builds, computes, predicts and refuses."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from stn_lightning.data import Named
from stn_lightning.localisations import Convolutional, FullyConnected
from stn_lightning.networks import HouseNumberNet, Output
from stn_lightning.samplers import Bicubic, Bilinear
from stn_lightning.tasks import SequenceRecognition
from stn_lightning.transforms import Affine, Similarity, ThinPlateSpline

SHAPE = (3, 54, 54)
MULTI = ["input", "conv1", "conv2", "conv3"]
SMALL = partial(HouseNumberNet, width=0.05, dropout=0.0)


def make(max_length=4, **options):
    torch.manual_seed(0)
    return SequenceRecognition(SHAPE, 10, max_length, **{"network": SMALL, **options})


class Numbers(LightningDataModule):
    """Noise, and numbers of up to four digits."""

    input_shape, num_classes, max_length = SHAPE, 10, 4
    statistics = (torch.tensor([0.2, 0.4, 0.6]), torch.tensor([0.5, 0.25, 0.125]))

    def __init__(self, count=22):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        length = torch.randint(1, 5, (count, 1), generator=generator)
        digits = torch.randint(0, 10, (count, 4), generator=generator)
        self.images = torch.rand(count, *SHAPE, generator=generator)
        self.targets = torch.where(torch.arange(4) < length, digits, 10)

    def train_dataloader(self):
        return DataLoader(TensorDataset(self.images, self.targets), batch_size=8)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


@pytest.fixture
def data():
    return Numbers()


def parts(task):
    return dict(task.network.transformers.items())


def test_one_transform_is_st_cnn_single():
    task = make(transform=Affine())
    (name, transformer), *others = parts(task).items()
    assert (name, others) == ("input", [])
    assert type(transformer.localisation) is Convolutional
    sizes = [m.out_features for m in transformer.localisation.modules() if isinstance(m, torch.nn.Linear)]
    assert sizes == [32, 32, 6]
    assert type(transformer.sampler) is Bilinear


def test_four_placements_are_st_cnn_multi():
    task = make(transform=Affine(), placements=MULTI)
    assert list(parts(task)) == MULTI
    for transformer in parts(task).values():
        assert type(transformer.localisation) is FullyConnected
        sizes = [m.out_features for m in transformer.localisation.modules() if isinstance(m, torch.nn.Linear)]
        assert sizes == [32, 32, 6]


def test_every_transformer_can_have_its_own_parts():
    task = make(
        transform={"input": Affine(), "conv2": ThinPlateSpline(grid_size=3)},
        localisation=partial(FullyConnected, units=(4,)),
        localisations={"input": partial(Convolutional, filters=3, downsample=2)},
        sampler={"conv2": Bicubic()},
        initial={"input": [0.5, 0.0, 0.1, 0.0, 0.5, 0.0]},
        output_size={"input": (40, 50)},
    )
    first, second = parts(task)["input"], parts(task)["conv2"]
    assert type(first.localisation) is Convolutional
    assert type(second.localisation) is FullyConnected
    assert (type(first.sampler), type(second.sampler)) == (Bilinear, Bicubic)
    warps = task(torch.rand(2, *SHAPE)).warps
    assert warps["input"].theta[1].tolist() == pytest.approx([0.5, 0.0, 0.1, 0.0, 0.5, 0.0])
    assert warps["input"].output.shape == (2, 3, 40, 50)
    assert warps["conv2"].theta.shape == (2, 18)


def test_transformers_do_not_share_what_they_learn():
    learned = Affine(learn_basis=True, basis_size=(27, 27))
    task = make(transform=learned, placements=["conv1", "conv2"])
    first, second = parts(task).values()
    assert {p.data_ptr() for p in first.parameters()}.isdisjoint(p.data_ptr() for p in second.parameters())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"placements": ["input"]}, "transform with placements, got none"),
        ({"sampler": Bicubic(), "initial": [1.0]}, "transform with sampler, initial, got none"),
        ({"localisation": FullyConnected}, "transform with localisation, got none"),
        ({"transform": Affine(), "placements": []}, r"placements, each once; got \[\]"),
        ({"transform": Affine(), "placements": ["input", "input"]}, "placements, each once"),
        ({"transform": Affine(), "placements": ["conv9"]}, "placements among input, conv1, .*; got conv9"),
        ({"transform": {"conv1": Affine()}, "placements": MULTI}, "a transform for each of input, conv1.*got none for input"),
        ({"transform": {"conv1": Affine()}, "sampler": {"conv2": Bicubic()}}, "sampler for conv1; got one for conv2"),
        ({"transform": Affine(), "localisations": {"conv1": FullyConnected}}, "localisations for input; got one for conv1"),
        ({"transform": Affine(), "initial": [1.0, 0.0]}, "initial with 6 numbers"),
        ({"max_length": None}, "data of sequences, which have a max_length"),
        ({"transform": {}}, "transform of at least one placement"),
        ({"align_corners": True}, "transform with align_corners, got none"),
        ({"transform": Affine(), "output_size": (8, 8)}, r"output_size \(8, 8\) of the transformer at 'input' are too small"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ValueError, match=text):
        make(**options)


def test_localisation_nets_learn_at_a_tenth_of_the_rate_unless_said():
    for given, scale in ((None, 0.1), (0.5, 0.5), (0.0, 0.0)):
        task = make(transform=Affine(), localisation_lr_scale=given)
        rates = {group["name"]: group["lr"] for group in task.configure_optimizers().param_groups}
        assert rates == pytest.approx({"network": 1e-3, "localisation": scale * 1e-3})


def test_loss_is_the_sum_over_the_positions(data):
    task = make().eval()
    output, target = task(data.images), data.targets
    expected = sum(F.cross_entropy(output.prediction[:, i], target[:, i]) for i in range(4))
    torch.testing.assert_close(task.loss(output, target), expected)


def test_targets_of_another_length_are_refused(data):
    task = make(max_length=5)
    with pytest.raises(ValueError, match=r"targets of shape \(22, 5\), got \(22, 4\): is max_length"):
        task.loss(task(data.images), data.targets)


def test_judge_says_what_became_of_each_image(data):
    task = make().eval()
    output, target = task(data.images), data.targets.clone()
    numbers = task.judge(output, target).predicted
    target[0] = torch.tensor([int(c) for c in numbers[0]] + [10] * (4 - len(numbers[0])))
    verdict = task.judge(output, target)
    assert verdict.right.tolist() == [a == b for a, b in zip(verdict.target, verdict.predicted, strict=True)]
    assert bool(verdict.right[0])
    torch.testing.assert_close(verdict.loss.mean(), task.loss(output, target))
    assert verdict.target[1] == "".join(str(c) for c in target[1].tolist() if c < 10)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_metrics_are_those_of_the_whole_set(data, trainer, stage):
    """Batches of 8, 8 and 6: a mean of means would be another number."""
    task = make()
    (logged,) = getattr(trainer(), stage)(task, data, verbose=False)
    prefix = {"validate": "val", "test": "test"}[stage]
    with torch.no_grad():
        verdict = task.eval().judge(task(data.images), data.targets)
    assert logged[f"{prefix}/error"] == pytest.approx(1 - float(verdict.right.float().mean()))
    assert logged[f"{prefix}/loss"] == pytest.approx(float(verdict.loss.mean()), rel=1e-5)
    lengths = {len(number) for number in verdict.target}
    assert {name for name in logged if "length" in name} == {f"{prefix}/error_length_{n}" for n in lengths}
    wrong = [a[:1] != b[:1] for a, b in zip(verdict.target, verdict.predicted, strict=True)]
    assert logged[f"{prefix}/error_position_1"] == pytest.approx(sum(wrong) / len(wrong))
    assert f"{prefix}/coverage_98" in logged


def test_metrics_start_anew_at_each_evaluation(data, trainer):
    task, machine = make(), trainer()
    first, second = (machine.test(task, data, verbose=False) for _ in range(2))
    assert first == second


def test_statistics_of_the_data_are_kept_with_the_checkpoint(data, trainer, tmp_path):
    task = make(transform=Affine())
    fit = trainer(max_epochs=1)
    fit.fit(task, data)
    mean, std = data.statistics
    assert task.standardise.mean.flatten().tolist() == pytest.approx(mean.tolist())
    with torch.no_grad():
        seen = task.eval()(data.images).warps["input"]
    standard = (data.images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(seen.output, task.network(standard).warps["input"].output)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    again = SequenceRecognition.load_from_checkpoint(tmp_path / "it.ckpt")
    assert torch.equal(again.standardise.mean, task.standardise.mean)
    assert torch.equal(again.standardise.std, task.standardise.std)


def test_statistics_of_other_data_do_not_replace_those_of_the_checkpoint(data, trainer, tmp_path):
    fit = trainer(max_epochs=1)
    task = make()
    fit.fit(task, data)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    other = Numbers()
    other.statistics = (torch.zeros(3), torch.ones(3))
    resumed = make()
    trainer(max_epochs=2).fit(resumed, other, ckpt_path=tmp_path / "it.ckpt")
    assert torch.equal(resumed.standardise.mean, task.standardise.mean)
    tested = make()
    trainer().test(tested, other, ckpt_path=tmp_path / "it.ckpt", verbose=False)
    assert torch.equal(tested.standardise.std, task.standardise.std)


def test_task_is_built_again_from_its_checkpoint(data, built_again):
    task = make(
        transform={"input": Affine(), "conv1": Similarity()},
        localisations={"input": partial(Convolutional, filters=3, units=(5, 6), downsample=2, padding=2)},
        sampler={"conv1": Bicubic("border")},
        output_size={"input": (50, 48)},
        optimizer=partial(torch.optim.SGD, lr=0.01),
    )
    again = built_again(task, data)
    with torch.no_grad():
        for a, b in zip(task.eval()(data.images)[0], again(data.images)[0], strict=True):
            assert torch.equal(a, b)


def test_training_lowers_the_loss(data, trainer):
    task = make(transform=Affine(), placements=MULTI, optimizer=partial(torch.optim.Adam, lr=3e-3))
    with torch.no_grad():
        before = task.loss(task(data.images), data.targets)
    trainer(max_epochs=12).fit(task, data)
    with torch.no_grad():
        assert task.loss(task(data.images), data.targets) < 0.7 * before


@pytest.mark.parametrize("form", ["images", "pairs", "named"])
def test_predict_gives_number_and_confidence_of_every_image(data, form):
    task = make().eval()
    names = [f"{i}.png" for i in range(22)]
    batch = {"images": data.images, "pairs": (data.images, data.targets), "named": Named(data.images, names)}[form]
    with torch.no_grad():
        rows = task.predict_step(batch, 0)
        probabilities = task(data.images).prediction.softmax(-1)
    assert list(rows) == (["file"] if form == "named" else []) + ["number", "confidence"]
    assert rows.get("file", names) == names
    for number, confidence, p in zip(rows["number"], rows["confidence"], probabilities, strict=True):
        classes = [*map(int, number), *[10] * (4 - len(number))]
        assert float(confidence) == pytest.approx(float(p[torch.arange(4), classes].prod()), rel=1e-5)


def test_output_is_read_without_a_trainer():
    output = make(transform=Affine())(torch.rand(2, *SHAPE))
    assert isinstance(output, Output)
    assert output.prediction.shape == (2, 4, 11)
