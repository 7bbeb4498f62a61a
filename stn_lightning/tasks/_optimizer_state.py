"""Whether the state of an optimizer, which torch restores unseen, is of its parameters."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

# what torch's optimizers keep for each number of a parameter
AS_THE_PARAMETER = {
    "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "square_avg", "grad_avg", "acc_delta", "momentum_buffer", "sum",
}  # fmt: skip


def check_state(optimizer: Optimizer) -> None:
    """Refuses a state of other parameters, before the first step.

    Args:
        optimizer: after its state was restored.

    Raises:
        ValueError: naming what differs.
    """
    if not type(optimizer).__module__.startswith("torch.optim."):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for name, value in optimizer.state.get(parameter, {}).items():
                if name in AS_THE_PARAMETER and isinstance(value, Tensor) and value.shape != parameter.shape:
                    raise ValueError(
                        f"the optimizer's state in the checkpoint is of other parameters: expected {name} of shape "
                        f"{tuple(parameter.shape)}, got {tuple(value.shape)}"
                    )
