"""The progress of Lightning's loops, as a checkpoint has it.

What Lightning makes of it (lightning/pytorch/loops): an epoch that has begun goes on behind ``processed`` batches, where all
counts of a batch are the same; a validation that has begun, and processed nothing, is done; else none is done behind the batch
that was the last.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer

COUNTS = ("ready", "started", "processed", "completed")


def settle(loop: dict[str, Any], trainer: Trainer) -> int:
    """Brings the state of a fit loop to the end of the last batch that was done.

    Args:
        loop: its state, which is changed.
        trainer: whose state it is.

    Returns:
        The number of batches of the epoch that are done.
    """
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    validation, own = loop["epoch_loop.val_loop.batch_progress"], loop["epoch_loop.state_dict"]
    ready: int = batches["current"]["ready"]
    done: int = batches["current"]["processed"]
    in_flight, ends = ready > done, done > batches["current"]["completed"]
    whole = done == trainer.num_training_batches or (batches["is_last_batch"] and not in_flight)
    begun = epochs["current"]["started"] > epochs["current"]["processed"]
    if not begun and done and not whole:  # the epoch was ended before its time
        begun = True
        for counts in (epochs["total"], epochs["current"]):
            counts["processed"] -= 1
    if not begun:
        done, whole = 0, False
        batches["current"] = dict.fromkeys(COUNTS, 0)
        loop["state_dict"].pop("combined_loader", None)
    elif in_flight:
        for state in loop["state_dict"].get("combined_loader", []):
            if "last" in state:
                state["seen"] -= state["last"]
    _make_all(batches, "processed")
    batches["is_last_batch"] = whole
    _make_all(epochs, "processed")
    for counts in (epochs["total"], epochs["current"]):
        counts["ready"] += begun
        counts["started"] += begun

    inside = begun and (ends or trainer.validating)
    due = _validates_after(done, batches["total"]["processed"], epochs["current"]["processed"], trainer)
    missing = inside and due and not (trainer.validating and _is_complete(validation))
    validation["current"] = dict.fromkeys(COUNTS, 0)
    validation["total"] = validation["current"] | ({"ready": 1, "started": 1} if missing else {})
    validation["is_last_batch"] = False

    steps = whole or done % trainer.accumulate_grad_batches == 0
    # of the logger: counted at the end of a batch, and once more where Lightning finds the validation behind it due
    own["_batches_that_stepped"] += (inside and steps) - (due and steps and (begun or trainer.max_steps != -1))
    return done


def _make_all(progress: dict[str, Any], name: str) -> None:
    for part in ("total", "current"):
        progress[part] = dict.fromkeys(COUNTS, progress[part][name])


def _is_complete(progress: dict[str, Any]) -> bool:
    return bool(progress["is_last_batch"] and progress["current"]["completed"] == progress["current"]["ready"])


def _validates_after(batches: int, total: int, epoch: int, trainer: Trainer) -> bool:
    every, epochs = trainer.val_check_batch, trainer.check_val_every_n_epoch
    if not trainer.enable_validation or every in (None, float("inf")) or (epochs and (epoch + 1) % epochs):
        return False
    return (total if epochs is None else batches) % every == 0
