"""The command line: `suffuse-backbone VERB`, also `suffuse backbone VERB`. A verb parses, calls the API, writes."""

from suffuse.console import task_app

ABOUT = "Shortcuts on diffusers models: calibrate them, see what they save, compare them."

app = task_app("backbone", ABOUT)


@app.callback(help=ABOUT)
def options() -> None:
    """There are no options before the verb."""


def main() -> None:
    """What `suffuse-backbone` runs."""
    app(prog_name="suffuse-backbone")
