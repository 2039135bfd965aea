"""`python -m suffuse.trajectory`: the command line."""

from suffuse.commands.trajectory import main

if __name__ == "__main__":
    main()
