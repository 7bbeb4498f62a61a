"""Optimisers, parameter groups and schedules."""

from functools import partial

import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from stn_lightning.localisations import Localisation


def fitted(task, trainer, digits, **options):
    machine = trainer(**{"max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1, **options})
    machine.fit(task, digits())
    return machine


def test_every_parameter_is_in_one_group(make, trainer, digits):
    task = make()
    (optimizer,) = fitted(task, trainer, digits).optimizers
    groups = {group["name"]: group for group in optimizer.param_groups}
    (net,) = [module for module in task.modules() if isinstance(module, Localisation)]
    assert set(groups) == {"network", "localisation"}
    assert {id(p) for p in groups["localisation"]["params"]} == {id(p) for p in net.parameters()}
    assert sum(len(group["params"]) for group in groups.values()) == len(list(task.parameters()))


def test_default_is_adam(make, trainer, digits):
    (optimizer,) = fitted(make(), trainer, digits).optimizers
    assert type(optimizer) is Adam
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}


@pytest.mark.parametrize("scale", [0.0, 0.1, 2.0])
def test_localisation_learns_at_its_own_rate(make, trainer, digits, scale):
    task = make(optimizer=partial(Adam, lr=0.02), localisation_lr_scale=scale)
    before = {name: p.clone() for name, p in task.named_parameters()}
    machine = fitted(task, trainer, digits)
    (optimizer,) = machine.optimizers
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"network": 0.02, "localisation": 0.02 * scale})
    moved = {name: not torch.equal(p, before[name]) for name, p in task.named_parameters()}
    assert all(value == (scale > 0) for name, value in moved.items() if "localisation" in name and "head" in name)
    assert all(value for name, value in moved.items() if "classifier" in name)


def test_schedule_keeps_the_ratio_of_the_rates(make, trainer, digits):
    task = make(optimizer=partial(SGD, lr=0.1), scheduler=partial(StepLR, step_size=1, gamma=0.5), localisation_lr_scale=0.2)
    (optimizer,) = fitted(task, trainer, digits).optimizers
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 / 8, 0.02 / 8])


def test_network_without_a_transformer_has_one_group(make, trainer, digits):
    (optimizer,) = fitted(make(transform=None), trainer, digits).optimizers
    assert [group["name"] for group in optimizer.param_groups] == ["network"]


@pytest.mark.parametrize(
    ("given", "expected"), [({}, 6), ({"total_steps": 50}, 50), ({"epochs": 3, "steps_per_epoch": 4}, 12)]
)
def test_one_cycle_knows_how_many_steps_there_are(make, trainer, digits, given, expected):
    task = make(optimizer=partial(SGD, lr=0.1), scheduler=partial(OneCycleLR, max_lr=0.2, **given))
    machine = fitted(task, trainer, digits, max_epochs=2)
    scheduler = machine.lr_scheduler_configs[0].scheduler
    assert scheduler.total_steps == expected
    assert scheduler.last_epoch == 6


def test_one_cycle_respects_the_scale_of_the_localisation_nets(make, trainer, digits):
    """OneCycleLR takes its rates from max_lr: the scale is to hold there too."""
    task = make(optimizer=partial(SGD, lr=0.1), scheduler=partial(OneCycleLR, max_lr=0.2), localisation_lr_scale=0.1)
    (optimizer,) = fitted(task, trainer, digits).optimizers
    network, localisation = (group["lr"] for group in optimizer.param_groups)
    assert localisation == pytest.approx(0.1 * network)


@pytest.mark.parametrize(("interval", "steps"), [("step", 6), ("epoch", 2)])
def test_scheduler_interval(make, trainer, digits, interval, steps):
    task = make(scheduler=partial(CosineAnnealingLR, T_max=100), scheduler_interval=interval)
    machine = fitted(task, trainer, digits, max_epochs=2)
    assert machine.lr_scheduler_configs[0].scheduler.last_epoch == steps


def test_reduce_on_plateau_watches_its_metric(make, trainer, digits):
    """No epoch is better than -1: the rate falls after each one."""
    plateau = partial(ReduceLROnPlateau, monitor="val/error", patience=0, factor=0.1, threshold=10.0, threshold_mode="abs")
    task = make(optimizer=partial(SGD, lr=0.1), scheduler=plateau)
    machine = fitted(task, trainer, digits, max_epochs=3)
    config = machine.lr_scheduler_configs[0]
    assert (config.monitor, config.interval) == ("val/error", "epoch")
    assert machine.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.001)


def test_negative_scale_is_refused(make):
    with pytest.raises(ValueError, match=r"localisation_lr_scale of at least 0, got -0\.1"):
        make(localisation_lr_scale=-0.1)
