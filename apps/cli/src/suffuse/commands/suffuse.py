"""Entry point of `suffuse`: Ctrl-C ends it in a sentence from the first import on."""

from suffuse.console.entry import start


def main() -> None:
    """Run `suffuse`."""
    start("suffuse.cli")
