"""`python -m suffuse.cli` is `suffuse`."""

from suffuse.cli.command import main

main()
