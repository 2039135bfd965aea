"""The command `suffuse TASK VERB ...`: every installed task is a subcommand that is imported when it is called."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from suffuse.cli.tasks import KNOWN, Task, TaskError, how_to_get, installed_tasks, none_installed
from suffuse.console import OneSentence, interruptible


class TaskCommand(TyperCommand):
    """Stands for a task in the help of `suffuse`, and turns into the task's own command when it is called."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.name, callback=None, help=task.summary, rich_help_panel="Tasks")
        self.task = task

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """A context of the task's own command, which therefore parses the arguments, helps and runs."""
        with interruptible():
            command = get_command(self.task.load())
        return command.make_context(info_name, args, parent, **extra)


class TaskGroup(OneSentence):
    """A group that answers an unknown task with the ones that there are."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command that the first argument names; raises TaskError where there is none."""
        if args[0] in self.commands or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        name = args[0]
        installed = [task for task, command in self.commands.items() if isinstance(command, TaskCommand)]
        missing = [task for task in KNOWN if task not in installed]
        if name in missing:
            raise TaskError(f"the task {name!r} is not installed; get it with `{how_to_get(name)}`.")
        parts = [f"there is no task {name!r}", f"installed: {', '.join(installed) or 'none'}"]
        if missing:
            parts.append("to be had: " + ", ".join(f"{task} (`{how_to_get(task)}`)" for task in missing))
        raise TaskError("; ".join(parts) + ".")


app = typer.Typer(cls=TaskGroup, subcommand_metavar="TASK VERB ...")


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    tasks = [task.distribution for task in installed_tasks().values()]
    for distribution in ["suffuse", "suffuse-console", "suffuse-backbone", *tasks]:
        try:
            typer.echo(f"{distribution} {version(distribution)}")
        except PackageNotFoundError:  # the backbone comes with the first task that needs it
            continue
    raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    versions: Annotated[
        bool,
        typer.Option("--version", callback=_print_versions, is_eager=True, help="Print what is installed and leave."),
    ] = False,
) -> None:
    """Diffusion for tasks: `suffuse TASK VERB`, one task for every installed package."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help() if installed_tasks() else none_installed())


@app.command("tasks", rich_help_panel="Other commands")
def list_tasks() -> None:
    """List the installed tasks, and the others that there are."""
    tasks = installed_tasks()
    rows = [(task.name, task.version, task.summary) for task in tasks.values()]
    rows += [(name, how_to_get(name), does) for name, does in KNOWN.items() if name not in tasks]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, state, does in rows:
        typer.echo(f"{name:{widths[0]}}  {state:{widths[1]}}  {does}")


def build(tasks: Mapping[str, Task]) -> TaskGroup:
    """The command with the given tasks as its subcommands."""
    group = get_command(app)
    assert isinstance(group, TaskGroup)
    group.commands = {task.name: TaskCommand(task) for task in tasks.values()} | dict(group.commands)  # ours win
    if not tasks:
        group.epilog = none_installed()
    return group


def main() -> None:
    """Runs the command line of `suffuse`."""
    build(installed_tasks())(prog_name="suffuse")
