"""Names of classes: kept by the checkpoint, said in predictions, compared with those of the data."""

from functools import partial

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from stn_lightning.networks import FCN
from stn_lightning.tasks import Classification


class Pets(LightningDataModule):
    """Noise of three classes with names."""

    input_shape, num_classes = (1, 9, 9), 3

    def __init__(self, names=("cat", "dog", "fish")):
        super().__init__()
        self.class_names = list(names)
        generator = torch.Generator().manual_seed(0)
        self.images, self.targets = torch.rand(12, 1, 9, 9, generator=generator), torch.arange(12) % 3

    def train_dataloader(self):
        return DataLoader(TensorDataset(self.images, self.targets), batch_size=4)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


@pytest.fixture
def pets(trainer, tmp_path):
    """A trained task, and its checkpoint."""
    task = Classification((1, 9, 9), 3, network=partial(FCN, width=4))
    fitted = trainer(max_epochs=1)
    fitted.fit(task, Pets())
    fitted.save_checkpoint(tmp_path / "pets.ckpt")
    return task, str(tmp_path / "pets.ckpt")


def test_what_is_predicted_is_said_by_name_from_the_checkpoint_alone(pets, trainer):
    task, checkpoint = pets
    images = torch.rand(5, 1, 9, 9)
    loaded = Classification.load_from_checkpoint(checkpoint)
    labels = loaded.eval()(images).prediction.argmax(1).tolist()
    assert loaded.predict_step(images, 0)["class"] == [["cat", "dog", "fish"][i] for i in labels]
    fresh = Classification((1, 9, 9), 3, network=partial(FCN, width=4))
    parts = trainer().predict(fresh, DataLoader(images, batch_size=5), ckpt_path=checkpoint)
    assert parts[0]["class"] == loaded.predict_step(images, 0)["class"]
    verdict = task.judge(task(images), torch.zeros(5, dtype=torch.long))
    assert verdict.target == ["cat"] * 5


@pytest.mark.parametrize("verb", ["test", "validate", "fit"])
def test_data_of_other_classes_than_the_checkpoint_are_refused(pets, trainer, verb):
    fresh = Classification((1, 9, 9), 3, network=partial(FCN, width=4))
    with pytest.raises(ValueError, match="class 1 is 'fish' in the data, was 'dog'"):
        getattr(trainer(max_epochs=2), verb)(fresh, datamodule=Pets(["cat", "fish", "dog"]), ckpt_path=pets[1])
    loaded = Classification.load_from_checkpoint(pets[1])
    if verb == "fit":  # a new task: the weights are where it begins
        trainer(max_epochs=1).fit(loaded, Pets(["cat", "fish", "dog"]))
        assert loaded.class_names == ["cat", "fish", "dog"]
    else:
        with pytest.raises(ValueError, match="class 1 is 'fish'"):
            getattr(trainer(), verb)(loaded, datamodule=Pets(["cat", "fish", "dog"]))
