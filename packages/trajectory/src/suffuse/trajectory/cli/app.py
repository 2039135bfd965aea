"""The command line: `suffuse-trajectory VERB`, also `suffuse trajectory VERB`. A verb parses, calls the API, writes."""

import logging
import os
import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

PACKAGE_NOTES = logging.getLogger("suffuse")


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
    name="trajectory",
    help="Synthetic trips over a road network: generate, evaluate, train, and look at them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def options(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more about what is read and computed."),
) -> None:
    """Synthetic trips over a road network: generate, evaluate, train, and look at them."""
    if not PACKAGE_NOTES.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("Note: %(message)s"))
        PACKAGE_NOTES.addHandler(handler)
    PACKAGE_NOTES.setLevel(logging.INFO if verbose else logging.WARNING)


def main() -> None:
    """Entry point of `suffuse-trajectory`."""
    app(prog_name="suffuse-trajectory")
