"""The command line: `suffuse-policy VERB`, also `suffuse policy VERB`. A verb parses, calls the API, writes."""

from suffuse.console import task_app

ABOUT = "Diffusion policies for robots: train on demonstrations, evaluate, run."

app = task_app("policy", ABOUT)


@app.callback(help=ABOUT)
def options() -> None:
    """There are no options before the verb, but even with one verb there is a verb."""


def main() -> None:
    """What `suffuse-policy` runs."""
    app(prog_name="suffuse-policy")
