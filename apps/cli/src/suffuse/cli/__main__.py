"""`python -m suffuse.cli` is `suffuse`."""

from suffuse.commands.suffuse import main

main()
