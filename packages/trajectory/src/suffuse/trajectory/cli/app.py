"""The command line: `suffuse-trajectory VERB`, also `suffuse trajectory VERB`. A verb parses, calls the API, writes."""

import logging

import typer

from suffuse.console import task_app

PACKAGE_NOTES = logging.getLogger("suffuse")
ABOUT = "Synthetic trips over a road network: generate, evaluate, train, and look at them."

app = task_app("trajectory", ABOUT)


class _Notes(logging.Handler):
    """What the package has to tell, on standard error as it is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"Note: {self.format(record)}", err=True)


@app.callback(help=ABOUT)
def options(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more about what is read and computed."),
) -> None:
    """Let the package tell what it finds: warnings, or more on demand."""
    if not PACKAGE_NOTES.handlers:
        PACKAGE_NOTES.addHandler(_Notes())
    PACKAGE_NOTES.setLevel(logging.INFO if verbose else logging.WARNING)


def main() -> None:
    """What `suffuse-trajectory` runs."""
    app(prog_name="suffuse-trajectory")
