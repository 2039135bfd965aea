"""Entry point of `suffuse-policy`.

It lies outside `suffuse.policy`, whose import takes seconds: Ctrl-C ends that in a sentence too.
"""

from suffuse.console.entry import start


def main() -> None:
    """Run `suffuse-policy`."""
    start("suffuse.policy.cli")
