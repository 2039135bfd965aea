"""The command line: `suffuse-policy VERB`, also `suffuse policy VERB`. A verb parses, calls the API, writes."""

import os
import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup


class OneSentence(TyperGroup):
    """A group of commands that ends in one sentence and exit code 2 where the input is at fault."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb. ValueErrors are the package's word for wrong input; OSErrors come from files and disks."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            _complain(what)
        except (ValueError, ImportError) as error:
            _complain(str(error))
        raise typer.Exit(2)


def _complain(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"Error: {sentence}", style="red", markup=False, highlight=False)


app = typer.Typer(
    cls=OneSentence,
    name="policy",
    help="Diffusion policies for robots: train on demonstrations, evaluate, run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def options() -> None:
    """Diffusion policies for robots: train on demonstrations, evaluate, run."""


def main() -> None:
    """Entry point of `suffuse-policy`."""
    app(prog_name="suffuse-policy")
