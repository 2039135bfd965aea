"""All methods on a model of the study as it is shipped: what `benchmark` and the page of figures run."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from suffuse.backbone_cli.study.benchmark import Real, benchmark
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.fashion import CLASSES, load_fashion
from suffuse.backbone_cli.study.finer import finer_methods
from suffuse.backbone_cli.study.flow import scaled
from suffuse.backbone_cli.study.methods import Method, own_methods
from suffuse.backbone_cli.study.peers import peer_methods
from suffuse.backbone_cli.study.progress import Progress
from suffuse.backbone_cli.study.recipes import recipe
from suffuse.backbone_cli.study.rows import Row
from suffuse.backbone_cli.study.scene import GUIDANCE
from suffuse.backbone_cli.study.shipped import load_judge, load_study
from suffuse.console import check_writable, shown, write_json


def compare_on_study(
    study: str,
    *,
    budgets: Sequence[float],
    seeds: Iterable[int],
    count: int,
    words: Sequence[str] | None = None,
    data: Path | None = None,
    out: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """The rows of a study.

    Args:
        study: dit or unet.
        budgets: Shares of the work of a full generation, each in (0, 1].
        seeds: Of the noise.
        count: Samples of a seed.
        words: Only methods whose names hold one of them; None for all.
        data: Folder of Fashion-MNIST, for the row of real images. Where there is none, that row is left out.
        out: JSON file for the rows. Until all are there they are in `out`.partial; stopped, the same call goes on.
        say: Gets a line now and then.

    Raises StudyError for a study that there is not, words that name nothing, and a partial file of another comparison.
    """
    model, judge = load_study(recipe(study)), load_judge()
    methods = [*peer_methods(), *own_methods(study), *finer_methods(study)]
    if words is not None:
        methods = _named(methods, words)
    about = {"study": study, "n": count, "guidance": GUIDANCE}
    progress = None if out is None else Progress.resume(out.with_name(f"{out.name}.partial"), about)
    if progress is not None and progress.path is not None:
        check_writable(progress.path)
        if progress.rows:
            say(f"{progress.path} holds {len(progress.rows)} rows of a stopped run; going on")
    rows = benchmark(
        model,
        judge,
        methods,
        budgets=budgets,
        seeds=seeds,
        count=count,
        guidance=GUIDANCE,
        real=_real(data, say),
        progress=progress,
        say=say,
    )
    if out is not None and progress is not None:
        write_json(out, [row.to_dict() for row in rows])
        progress.done()
    return rows


def _named(methods: list[Method], words: Sequence[str]) -> list[Method]:
    sought = [word.strip().lower() for word in words]
    found = [method for method in methods if any(word in method.name.lower() for word in sought)]
    if not found:
        names = ", ".join(method.name for method in methods)
        raise StudyError(f"--methods is {shown(','.join(words))}, but must be words of {names}")
    return found


def _real(data: Path | None, say: Callable[[str], None]) -> Real | None:
    """Real images, as many of each class; of the training set, since the judge knows the moments of the test set."""
    try:
        training = load_fashion("train", data)
    except StudyError as error:
        if data is not None:
            raise
        say(f"no row of real images: {error}")
        return None

    def real(count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(training.labels), generator=generator)
        wanted = torch.arange(count) % len(CLASSES)
        chosen = torch.empty(count, dtype=torch.int64)
        for kind in range(len(CLASSES)):
            places = wanted == kind
            chosen[places] = order[training.labels[order] == kind][: int(places.sum())]
        return scaled(training.images[chosen])

    return real
