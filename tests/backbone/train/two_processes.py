"""Train on as many processes as torchrun starts and save the weights that each of them ends with."""

import os
import sys
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn

from suffuse.backbone.train import TrainConfig, train


class Batches:
    """Halves of one batch of 8: for two processes batches 2k and 2k + 1 make what one process takes as batch k."""

    def __init__(self, halves: int) -> None:
        self.halves = halves

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        step, half = divmod(index, self.halves)
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(step)).double()
        return tuple(tensor.chunk(self.halves)[half] for tensor in (inputs, inputs.square()))


def loss(model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    return {"loss": (model(batch[0]) - batch[1]).square().mean()}


def main(directory: Path, *, resume: bool, stop_before: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    batches = Batches(processes)

    class Stopping:
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            if index // processes == stop_before:
                raise SystemExit(3)
            return batches[index]

    result = train(
        model=model,
        loss=loss,
        batches=Stopping(),
        config=TrainConfig(steps=10, warmup_steps=2, checkpoint_every_steps=4, log_every=3, learning_rate=1e-2),
        directory=directory / "run",
        evaluate=lambda average, step: {"weight": float(average[0].weight.sum())},
        resume=resume,
        console=Console(quiet=True),
    )
    rank = os.environ.get("RANK", "0")
    save_file(dict(result.model.state_dict()), directory / f"ema-{rank}.safetensors")
    save_file(dict(model.state_dict()), directory / f"raw-{rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), resume="resume" in sys.argv, stop_before=6 if "stop" in sys.argv else -1)
