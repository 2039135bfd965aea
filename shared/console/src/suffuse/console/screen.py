"""What a command shows on standard error while it works."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

stderr = Console(stderr=True)


def say(sentence: str, *, style: str | None = None) -> None:
    """One line on standard error, as it is: names of files and trips may hold anything."""
    stderr.print(sentence, style=style, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def progress(title: str, total: int) -> Iterator[Progress]:
    """A progress bar with one task, on the terminal only."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=stderr, transient=True, disable=not stderr.is_terminal,
    )  # fmt: skip
    with bar:
        bar.add_task(title, total=total)
        yield bar
