"""AdamW (Loshchilov and Hutter 2019) with weight decay on matrices only, and its state by parameter name."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from suffuse.backbone.train.config import TrainConfig
from suffuse.backbone.train.errors import CheckpointError


def adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters of `model`.

    Parameters with fewer than two axes (biases, norm gains, scalars) have no weight decay.

    Raises:
        ValueError: nothing is trainable, or a trainable parameter has less than float32 precision, in which small
            updates of the weights and of their average would be rounded away.
    """
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("the model has no trainable parameter")
    for name, parameter in trainable:
        if parameter.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"parameter {name} is {parameter.dtype}; train float32 weights, with mixed_precision='bf16' for speed"
            )
    matrices = [parameter for _, parameter in trainable if parameter.ndim >= 2]
    vectors = [parameter for _, parameter in trainable if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    fused = trainable[0][1].device.type in ("cpu", "cuda")
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=config.betas,
        fused=fused,
    )


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state as `{parameter name}/{entry}`, for example `proj.weight/exp_avg`."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{entry}": value
        for parameter, state in optimizer.state.items()
        for entry, value in state.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave.

    Raises:
        CheckpointError: the tensors name a parameter that the optimizer does not train.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    index = {name: position for position, name in enumerate(order)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, entry = key.rsplit("/", 1)
        if name not in index:
            raise CheckpointError(f"the checkpoint has optimizer state for {name}, which is not a trained parameter")
        state.setdefault(index[name], {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
