"""The training loop of the suite, on Hugging Face accelerate.

A run is a pure function of the initial weights, the batches, the config and the number of processes: batch and random
numbers of an update depend on (seed, step, rank) alone. A run killed at any moment and resumed therefore makes the
same updates as one never killed, with a checkpoint of weights, averaged weights and optimizer as its only memory.
Bit for bit that holds wherever the arithmetic itself is repeatable: on CPUs with one thread count, on GPUs with
deterministic kernels.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast_object_list, send_to_device
from filelock import FileLock, Timeout
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from suffuse.backbone.train.checkpoint import (
    checkpoints,
    load_module_tensors,
    module_tensors,
    newest_checkpoint,
    prune,
    read_state,
    read_tensors,
    remove_incomplete,
    save_checkpoint,
    set_aside_newer,
    step_of,
)
from suffuse.backbone.train.config import NUMERICAL_FIELDS, TrainConfig
from suffuse.backbone.train.ema import averaged_model
from suffuse.backbone.train.errors import DirectoryInUseError, DivergedError, TrainError
from suffuse.backbone.train.log import Display, RunLog, read_log
from suffuse.backbone.train.optimizer import adamw, load_optimizer_tensors, optimizer_tensors
from suffuse.backbone.train.schedule import learning_rate_at
from suffuse.backbone.train.seeds import Stream, derive_seed, loss_generator, seed_global_generators

BatchT = TypeVar("BatchT")
BatchT_co = TypeVar("BatchT_co", covariant=True)

LOCK_FILE = ".lock"
OWN_METRICS = ("learning_rate", "gradient_norm")


@runtime_checkable
class Batches(Protocol[BatchT_co]):
    """A seekable source of batches: `batches[k]` depends on k (and the source's own seed) alone, k = 0, 1, 2, ...

    With P processes, process r takes `batches[step * P + r]` for the update numbered `step`.
    """

    def __getitem__(self, index: int, /) -> BatchT_co:
        """The batch number `index`."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The end of a run.

    Attributes:
        model: the averaged weights, in evaluation mode; the model that was passed in has the raw ones.
        evaluation: what the last call of `evaluate` gave; empty without one.
        checkpoint: the last checkpoint.
        resumed_from: the update the run went on from, 0 for a new one.
    """

    model: nn.Module
    evaluation: Mapping[str, float]
    checkpoint: Path
    resumed_from: int


def train(
    *,
    model: nn.Module,
    loss: Callable[[nn.Module, BatchT, torch.Generator], Mapping[str, Float[Tensor, ""]]],
    batches: Batches[BatchT],
    config: TrainConfig,
    directory: Path,
    evaluate: Callable[[nn.Module, int], Mapping[str, float]] | None = None,
    resume: bool = False,
    identity: Mapping[str, str] | None = None,
    console: Console | None = None,
) -> TrainResult:
    """Train `model` for `config.steps` updates and keep the run in `directory`.

    Args:
        model: trained in place; its trainable parameters are float32 (or float64). To compile it, call
            `model.compile()`, which keeps the names of its parameters.
        loss: given the model (wrapped for data parallelism: call it, do not reach into it), a batch on the model's
            device and a generator there, returns scalar tensors; the one named "loss" is minimised, all are logged.
        batches: see `Batches`.
        config: see `TrainConfig`.
        directory: gets checkpoints, `log.jsonl` and `tensorboard/`; it must be empty or new unless `resume`.
        evaluate: given the averaged model in evaluation mode and the number of updates made, returns metrics to log;
            it runs on the main process without gradients.
        resume: go on from the newest undamaged checkpoint; with none yet, start anew.
        identity: what the run is of beside its config, by name: hashes of the data, say. Kept in checkpoints; a resumed
            run must have the same. A fact that only the checkpoint or only this call names is not compared.
        console: where progress goes; standard error by default.

    Raises:
        DirectoryInUseError: another run is writing in `directory`.
        CheckpointError: no checkpoint can be read, or it is of another model.
        DivergedError: the loss or gradient became NaN or infinite; the last checkpoint is from before.
        TrainError: `directory` is not empty, or it holds a run with another config, number of processes or identity.
        ValueError: the model or what `loss` returns cannot be trained.
    """
    accelerator = _accelerator()
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory) if accelerator.is_main_process else contextlib.nullcontext():
        run = _Run(model, loss, batches, config, directory, evaluate, accelerator, identity or {})
        run.open(resume=resume)
        log = RunLog(directory, step=run.step) if accelerator.is_main_process else None
        try:
            run.finish(log, console or Console(stderr=True, quiet=not accelerator.is_main_process))
        finally:
            if log is not None:
                log.close()
        accelerator.wait_for_everyone()
    return TrainResult(
        model=run.average.module.eval(),
        evaluation=run.evaluation,
        checkpoint=checkpoints(directory)[-1],
        resumed_from=run.resumed_from,
    )


class _Run:
    """The state of one run: model, average, optimizer, number of updates, and sums of metrics not yet logged."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[nn.Module, Any, torch.Generator], Mapping[str, Float[Tensor, ""]]],
        batches: Batches[Any],
        config: TrainConfig,
        directory: Path,
        evaluate: Callable[[nn.Module, int], Mapping[str, float]] | None,
        accelerator: Accelerator,
        identity: Mapping[str, str],
    ) -> None:
        self.config, self.directory, self.accelerator = config, directory, accelerator
        self.identity = dict(identity)
        self.loss, self.batches, self.evaluate = loss, batches, evaluate
        self.model = model.to(accelerator.device)
        self.average = averaged_model(self.model, config.ema_decay)
        self.optimizer = adamw(self.model, config)
        self.trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.wrapped = accelerator.prepare_model(self.model)
        self.step = self.resumed_from = 0
        self.window: dict[str, float] = {}
        self.window_steps = 0
        self.evaluation: dict[str, float] = {}

    # --- start and resume

    def open(self, *, resume: bool) -> None:
        """Go to the state of the newest checkpoint, if there is one to resume."""
        chosen: list[Path | None] = [None]
        if self.accelerator.is_main_process:
            chosen = [self._choose_checkpoint(resume=resume)]
        broadcast_object_list(chosen)
        if chosen[0] is not None:
            self._load(chosen[0])
        if self.accelerator.is_main_process:
            set_aside_newer(self.directory, self.step)
            prune(self.directory, self.config.keep_checkpoints)

    def _choose_checkpoint(self, *, resume: bool) -> Path | None:
        present = sorted(path.name for path in self.directory.iterdir() if path.name != LOCK_FILE)
        if present and not resume:
            raise TrainError(
                f"{self.directory} is not empty (it has {present[0]}); resume that run or name another directory"
            )
        remove_incomplete(self.directory)
        return newest_checkpoint(self.directory)

    def _load(self, checkpoint: Path) -> None:
        state = read_state(checkpoint)
        known = state.get("identity", {})
        settings = [(name, value, state["run"].get(name)) for name, value in self._settings().items()]
        facts = [(name, value, known[name]) for name, value in self.identity.items() if name in known]
        for name, own, there in settings + facts:
            if own != there:
                raise TrainError(
                    f"{name} is {own!r}, but the run in {self.directory} has {there!r}; a resumed run must keep it"
                )
        load_module_tensors(self.model, read_tensors(checkpoint, "model"))
        load_module_tensors(self.average.module, read_tensors(checkpoint, "ema"))
        load_optimizer_tensors(self.optimizer, self.model, read_tensors(checkpoint, "optimizer"))
        self.average.n_averaged.fill_(state["ema_updates"])
        self.window, self.window_steps = dict(state["window"]), state["window_steps"]
        self.step = self.resumed_from = step_of(checkpoint)
        past = [r for r in read_log(self.directory) if r["kind"] == "evaluation" and r["step"] <= self.step]
        self.evaluation = dict(past[-1]["values"]) if past else {}

    def _settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with its checkpoint, beside its identity."""
        settings = self.config.to_dict()
        return {name: settings[name] for name in NUMERICAL_FIELDS} | {"processes": self.accelerator.num_processes}

    # --- the loop

    def finish(self, log: RunLog | None, console: Console) -> None:
        """Make the remaining updates."""
        config = self.config
        if self.step == config.steps:
            return
        saved_at = time.monotonic()
        batch = self._batch(self.step)
        with Display(start=self.step, steps=config.steps, console=console) as display:
            if self.resumed_from:
                display.say(f"resumed from update {self.resumed_from} of {config.steps}")
            while self.step < config.steps:
                metrics, batch = self._update(batch)
                last = self.step == config.steps
                display.update(self.step, loss=metrics["loss"], learning_rate=learning_rate_at(self.step - 1, config))
                self._add_to_window(metrics)
                if last or self.step % config.log_every == 0:
                    self._log_window(log)
                if last or (config.evaluate_every is not None and self.step % config.evaluate_every == 0):
                    self._evaluate(log)
                if log is not None and (last or self._checkpoint_is_due(saved_at)):
                    self._save(log)
                    saved_at = time.monotonic()

    def _seed(self, step: int, stream: Stream) -> int:
        return derive_seed(self.config.seed, step=step, rank=self.accelerator.process_index, stream=stream)

    def _batch(self, step: int) -> Any:
        seed_global_generators(self._seed(step, Stream.BATCH), device=self.accelerator.device)
        index = step * self.accelerator.num_processes + self.accelerator.process_index
        return send_to_device(self.batches[index], self.accelerator.device, non_blocking=True)

    def _update(self, batch: Any) -> tuple[dict[str, float], Any]:
        """One optimizer update; gives its metrics and the next batch, made while a GPU still computes."""
        config, accelerator, step = self.config, self.accelerator, self.step
        device = accelerator.device
        learning_rate = learning_rate_at(step, config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        seed_global_generators(self._seed(step, Stream.LOSS), device=device)
        generator = loss_generator(self._seed(step, Stream.LOSS_GENERATOR), device=device)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.mixed_precision == "bf16"):
            losses = dict(sorted(self.loss(self.wrapped, batch, generator).items()))
        _check_losses(losses)
        accelerator.backward(losses["loss"])
        norm = accelerator.clip_grad_norm_(
            self.trained, float("inf") if config.gradient_clip is None else config.gradient_clip
        )
        following = self._batch(step + 1) if step + 1 < config.steps else None
        values = accelerator.reduce(torch.stack([v.detach().float() for v in losses.values()]), reduction="mean")
        metrics = dict(zip(losses, values.tolist(), strict=True)) | {
            "gradient_norm": norm.item(),
        }
        for name in ("loss", "gradient_norm"):
            if not -float("inf") < metrics[name] < float("inf"):
                raise DivergedError(
                    f"{name} is {metrics[name]} at update {step}; the last good checkpoint in {self.directory} stays"
                )
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return metrics, following

    def _add_to_window(self, metrics: Mapping[str, float]) -> None:
        if self.window and self.window.keys() != metrics.keys():
            raise ValueError(f"loss returned {sorted(metrics)} after {sorted(self.window)}; the names must not change")
        self.window = {name: self.window.get(name, 0.0) + value for name, value in metrics.items()}
        self.window_steps += 1

    def _log_window(self, log: RunLog | None) -> None:
        if log is not None:
            means = {name: total / self.window_steps for name, total in self.window.items()}
            log.add(self.step, "train", means | {"learning_rate": learning_rate_at(self.step - 1, self.config)})
        self.window, self.window_steps = {}, 0

    def _evaluate(self, log: RunLog | None) -> None:
        if self.evaluate is not None and log is not None:
            seed_global_generators(self._seed(self.step, Stream.EVALUATION), device=self.accelerator.device)
            self.average.eval()
            with torch.no_grad():
                self.evaluation = {n: float(v) for n, v in self.evaluate(self.average.module, self.step).items()}
            log.add(self.step, "evaluation", self.evaluation)

    def _checkpoint_is_due(self, saved_at: float) -> bool:
        every, seconds = self.config.checkpoint_every_steps, self.config.checkpoint_every_seconds
        return (every is not None and self.step % every == 0) or (
            seconds is not None and time.monotonic() - saved_at >= seconds
        )

    def _save(self, log: RunLog) -> None:
        log.sync()
        save_checkpoint(
            self.directory,
            self.step,
            {
                "model": module_tensors(self.model),
                "ema": module_tensors(self.average.module),
                "optimizer": optimizer_tensors(self.optimizer, self.model),
            },
            {
                "run": self._settings(),
                "identity": self.identity,
                "ema_updates": int(self.average.n_averaged),
                "window": self.window,
                "window_steps": self.window_steps,
            },
        )
        prune(self.directory, self.config.keep_checkpoints)


def _accelerator() -> Accelerator:
    """Processes and devices as `accelerate launch` set them; autocast is left to the loop."""
    accelerator = Accelerator(mixed_precision="no")
    simple = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    if accelerator.distributed_type not in simple:
        raise TrainError(
            f"accelerate is set to {accelerator.distributed_type.value}; training runs on one process or data-parallel"
        )
    return accelerator


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the run directory; the lock goes with the process, however it ends."""
    lock = FileLock(directory / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise DirectoryInUseError(f"another run is writing in {directory}; wait for it or name another one") from error
    try:
        yield
    finally:
        lock.release()


def _check_losses(losses: Mapping[str, Tensor]) -> None:
    if "loss" not in losses:
        raise ValueError(f"loss returned {sorted(losses)}; one of the names must be 'loss'")
    for name, value in losses.items():
        if name in OWN_METRICS:
            raise ValueError(f"loss returned {name!r}, a name that the loop logs itself")
        if value.ndim != 0:
            raise ValueError(f"loss returned {name!r} of shape {tuple(value.shape)}; it must be a scalar")
