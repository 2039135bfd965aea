"""Entry point of `suffuse-trajectory`.

It lies outside `suffuse.trajectory`, whose import takes seconds: Ctrl-C ends that in a sentence too.
"""

from suffuse.console.entry import start


def main() -> None:
    """Run `suffuse-trajectory`."""
    start("suffuse.trajectory.cli")
