"""Train in child processes that are really killed, resume them, and print what was seen as JSON.

Called as `killed_runs.py operations DIR` it kills before the 1st, 2nd, 3rd ... file operation, each time resuming to
the end; as `killed_runs.py moments DIR` it kills one run again and again at random moments.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from suffuse.backbone.train import TrainConfig, read_log, train

WRITING = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"})
RANDOM_KILLS = 8
LONGEST_DELAY_SECONDS = 0.04
"""The latest moment of a kill, after the first new checkpoint of the process that is killed."""


class Batches:
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(index))
        return inputs, inputs.square()


def loss(model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    noise = 0.1 * torch.randn(8, 4, generator=generator)
    return {"loss": (model(batch[0] + noise) - batch[1]).square().mean()}


def run(directory: Path, steps: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
    config = TrainConfig(steps=steps, warmup_steps=2, checkpoint_every_steps=1, keep_checkpoints=1, log_every=2)
    train(
        model=model,
        loss=loss,
        batches=Batches(),
        config=config,
        directory=directory,
        evaluate=lambda average, step: {"weight": float(average[0].weight.sum())},
        resume=True,
        console=Console(quiet=True),
    )


def in_child(work: Callable[[], None]) -> int:
    """Start `work` in a child; gives its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child


def was_killed(child: int) -> bool:
    """Wait for a child: True if it was killed, False if it finished."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit("a child failed")
    return False


def kill_before_operation(number: int, directory: Path) -> None:
    """In this process, be killed just before file operation `number` in `directory`, counted from 1."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in WRITING or (event == "open" and str(arguments[0]).startswith(str(directory))):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def outcome(directory: Path) -> dict[str, object]:
    """Everything that a finished run leaves, in comparable form."""
    names = sorted(path.name for path in directory.iterdir())
    newest = max(directory.glob("checkpoint-*"))
    weights = {path.name: path.read_bytes().hex() for path in sorted(newest.glob("*.safetensors"))}
    log = [{key: value for key, value in record.items() if key != "time"} for record in read_log(directory)]
    return {"names": names, "weights": weights, "log": log, "state": (newest / "state.json").read_text()}


def killed_at_every_operation(directory: Path) -> dict[str, object]:
    was_killed(in_child(lambda: run(directory / "whole", 3)))
    expected, wrong, number = outcome(directory / "whole"), [], 0
    while True:
        number += 1
        place = directory / str(number)

        def doomed(number: int = number, place: Path = place) -> None:
            kill_before_operation(number, place)
            run(place, 3)

        if not was_killed(in_child(doomed)):
            return {"kills": number - 1, "wrong": wrong}
        was_killed(in_child(lambda place=place: run(place, 3)))
        wrong += [number] * (outcome(place) != expected)
        shutil.rmtree(place)


def killed_at_random_moments(directory: Path) -> dict[str, object]:
    was_killed(in_child(lambda: run(directory / "whole", 150)))
    moments, kills, places = random.Random(0), 0, set()

    def newest() -> str:
        return max((path.name for path in directory.glob("killed/checkpoint-*")), default="")

    while True:
        before = newest()
        child = in_child(lambda: run(directory / "killed", 150))
        if kills < RANDOM_KILLS:
            deadline = time.monotonic() + 60
            while newest() == before and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, LONGEST_DELAY_SECONDS))
            os.kill(child, signal.SIGKILL)
        if not was_killed(child):
            wrong = outcome(directory / "killed") != outcome(directory / "whole")
            return {"kills": kills, "places": len(places), "wrong": wrong}
        kills += 1
        places.add(newest())


if __name__ == "__main__":
    run(Path(sys.argv[2]) / "imports", 2)  # what is imported late would otherwise be imported by every child
    experiment = {"operations": killed_at_every_operation, "moments": killed_at_random_moments}[sys.argv[1]]
    print(json.dumps(experiment(Path(sys.argv[2]))))
