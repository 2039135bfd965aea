"""Entry point of `suffuse-backbone`.

It lies outside `suffuse.backbone_cli`, whose import takes seconds: Ctrl-C ends that in a sentence too.
"""

from suffuse.console.entry import start


def main() -> None:
    """Run `suffuse-backbone`."""
    start("suffuse.backbone_cli.cli")
