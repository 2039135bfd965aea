"""Tasks: which ones are installed, and how to get the others. Nothing of a task is imported before it is loaded."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import typer

from suffuse.console import UserError

GROUP = "suffuse.tasks"

KNOWN = {
    "trajectory": "Synthetic trips over a real road network.",
    "policy": "Diffusion policies for robots.",
    "backbone": "Shortcuts on diffusers models: calibrate, report, benchmark.",
}
"""The published tasks and what they do."""

DISTRIBUTIONS = {"backbone": "suffuse-backbone-cli"}
"""Tasks that share their name with a library; any other task `x` is the distribution `suffuse-x`."""


def distribution_of(task: str) -> str:
    """The distribution that brings a task."""
    return DISTRIBUTIONS.get(task, f"suffuse-{task}")


class TaskError(UserError):
    """A task that cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """An installed task: its name on the command line and the entry point that leads to its typer app."""

    name: str
    entry_point: EntryPoint

    @property
    def distribution(self) -> str:
        """Name of the distribution that brought the task."""
        return self.entry_point.dist.name if self.entry_point.dist else distribution_of(self.name)

    @property
    def version(self) -> str:
        """Version of the distribution that brought the task."""
        return self.entry_point.dist.version if self.entry_point.dist else "unknown"

    @property
    def summary(self) -> str:
        """What the task does, in the words of its distribution."""
        return (self.entry_point.dist.metadata["Summary"] if self.entry_point.dist else None) or ""

    def load(self) -> typer.Typer:
        """Imports the task and gives its app; raises TaskError if that fails."""
        try:
            app = self.entry_point.load()
        except ModuleNotFoundError as error:
            missing = error.name or str(error)
            if not missing.startswith("suffuse."):
                missing = missing.partition(".")[0]
            raise TaskError(
                f"the task {self.name!r} cannot start: the package {missing!r} is missing, "
                f"and `pip install --upgrade {self.distribution}` should bring it"
            ) from error
        except (ImportError, AttributeError) as error:
            raise TaskError(f"the task {self.name!r} cannot start: {error}") from error
        if not isinstance(app, typer.Typer):
            raise TaskError(
                f"the task {self.name!r} cannot start: {self.entry_point.value} of {self.distribution} "
                f"must be a typer.Typer, but is of type {type(app).__name__}"
            )
        return app


def installed_tasks() -> dict[str, Task]:
    """The installed tasks by name, in alphabetical order; of two with one name, the first on the import path."""
    tasks: dict[str, Task] = {}
    for entry_point in entry_points(group=GROUP):
        tasks.setdefault(entry_point.name, Task(name=entry_point.name, entry_point=entry_point))
    return dict(sorted(tasks.items()))


def how_to_get(name: str) -> str:
    """The command that installs a known task."""
    return f"pip install {distribution_of(name)}"


def none_installed() -> str:
    """The sentence for somebody who has no task yet."""
    return f"No suffuse task is installed yet; get one with `{how_to_get(next(iter(KNOWN)))}`."
