"""Commands that end in one sentence where the input, a file or a disk is at fault."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console
from safetensors import SafetensorError
from typer.core import TyperGroup

from suffuse.console.errors import INTERRUPTED, WRONG_INPUT, because

UsageError: type[Any] = typer.BadParameter.__mro__[1]
"""What typer raises for any wrong argument; it exports only this one of its kinds."""


class OneSentence(TyperGroup):
    """A group of commands that ends in one sentence and exit code 2 where the input is at fault."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse what stands before the verb; no arguments at all give the help, as typer has it."""
        if not args:
            return super().make_context(info_name, args, parent, **extra)
        with one_sentence():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb, and see to it that what it has printed arrives."""
        with one_sentence():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


def task_app(name: str, about: str) -> typer.Typer:
    """The app of a task, to put verbs into; `about` is the first line of its help."""
    return typer.Typer(
        cls=OneSentence,
        name=name,
        help=about,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turn errors of input, files and disks into one sentence and exit code 2; anything else is a defect of ours.

    ValueErrors are the word of every task for wrong input. Ctrl-C ends with 130, as in any shell.
    """
    try:
        yield
        return
    except BrokenPipeError:
        _let_go_of_stdout()
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        _complain("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except UsageError as error:
        help_of = f" (see {error.ctx.command_path} --help)" if error.ctx is not None else ""
        _complain(f"{error.format_message().rstrip('.')}{help_of}")
    except OSError as error:
        if error.filename is None:
            _let_go_of_stdout()
        _complain(f"{error.filename or 'what is printed, or a temporary file'}: {because(error)}")
    except MemoryError as error:
        _complain(f"there is not enough memory: {error}" if str(error) else "there is not enough memory")
    except (ValueError, ImportError, SafetensorError) as error:
        _complain(str(error))
    raise typer.Exit(WRONG_INPUT)


def _complain(sentence: str) -> None:
    line = " ".join(sentence.split("\n"))
    Console(stderr=True, soft_wrap=True).print(f"Error: {line}", style="red", markup=False, highlight=False)


def _let_go_of_stdout() -> None:
    """Nobody takes what is printed, or its disk is full: Python is not to try again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
