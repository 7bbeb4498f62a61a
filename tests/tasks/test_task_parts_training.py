"""Training of PartsClassification: accumulated gradients, the layout of memory, half precision."""

from functools import partial

import torch
from lightning.pytorch import Callback, LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from stn_lightning.tasks import PartsClassification

SHAPE, CLASSES, BATCH = (3, 64, 64), 3, 16
PLAIN = {"backbone": "squeezenet1_1", "dropout": 0.0}  # no batch statistics, no chance


class Tinted(LightningDataModule):
    """Noise whose colour is its class, with a part and a box."""

    input_shape, num_classes, part_names = SHAPE, CLASSES, ("head",)
    statistics = (torch.tensor([0.3, 0.3, 0.3]), torch.tensor([0.2, 0.2, 0.2]))

    def __init__(self, batch_size=BATCH):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.batch_size = batch_size
        targets = torch.arange(2 * BATCH) % CLASSES
        tints = 0.2 + 0.8 * torch.eye(CLASSES)[targets]
        images = torch.rand(len(targets), *SHAPE, generator=generator) * tints[:, :, None, None]
        parts = torch.tensor([[[-0.4, 0.1, 1.0]]]).repeat(len(targets), 1, 1)
        boxes = torch.tensor([[-0.8, -0.5, 0.7, 0.6]]).repeat(len(targets), 1)
        self.set = TensorDataset(images, targets, parts, boxes)

    def train_dataloader(self):
        return DataLoader(self.set, self.batch_size)

    val_dataloader = train_dataloader


class Diary(Callback):
    def __init__(self):
        self.losses, self.kinds = [], set()

    def on_fit_start(self, trainer, pl_module):
        pl_module.network.register_forward_hook(self.look)

    def look(self, network, args, output):
        tensors = [(name, value) for warp in output.warps.values() for name, value in warp._asdict().items()]
        self.kinds |= {(name, value.dtype) for name, value in [("prediction", output.prediction), *tensors]}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


def make(**options):
    torch.manual_seed(0)
    return PartsClassification(SHAPE, CLASSES, **{**PLAIN, "optimizer": partial(torch.optim.SGD, lr=0.002), **options})


def test_two_accumulated_batches_are_one_of_twice_the_size(trainer):
    """In float64, where rounding decides no side of a kink."""

    def trained(batch_size, accumulated):
        task = make(localisation_lr_scale=1.0)
        options = {"precision": "64-true", "limit_val_batches": 0}
        machine = trainer(max_epochs=2, accumulate_grad_batches=accumulated, **options)
        machine.fit(task, Tinted(batch_size))
        assert machine.global_step == 4
        return task.state_dict()

    before = {name: value.double() for name, value in make().state_dict().items()}
    whole, halves = trained(BATCH, 1), trained(BATCH // 2, 2)
    torch.testing.assert_close(halves, whole, rtol=0, atol=1e-12)
    still = {name for name in whole if name in before and torch.equal(whole[name], before[name])}
    assert still <= {"standardise.mean", "standardise.std"}, still


def test_channels_last_changes_the_layout_alone():
    task = make(backbone="small").eval()
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for net in task.network.transformers.localisations:
            torch.nn.init.normal_(net.head.weight, std=0.02, generator=torch.Generator().manual_seed(1))
        expected = task(images)
        task.to(memory_format=torch.channels_last)
        found = task(images.contiguous(memory_format=torch.channels_last))
    assert any(p.is_contiguous(memory_format=torch.channels_last) and p.ndim == 4 for p in task.parameters())
    torch.testing.assert_close(found.prediction, expected.prediction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.warps, expected.warps, rtol=1e-4, atol=1e-5)


def test_bfloat16_trains_and_leaves_the_geometry_alone(trainer):
    task, diary = make(optimizer=partial(torch.optim.SGD, lr=0.002, momentum=0.9)), Diary()
    trainer(max_epochs=8, precision="bf16-mixed", callbacks=diary, limit_val_batches=0).fit(task, Tinted())
    assert diary.kinds == {
        ("prediction", torch.bfloat16),
        ("output", torch.float32),
        ("theta", torch.float32),
        ("grid", torch.float32),
    }
    assert sum(diary.losses[-4:]) < 0.7 * sum(diary.losses[:4])
    assert {p.dtype for p in task.parameters()} == {torch.float32}
