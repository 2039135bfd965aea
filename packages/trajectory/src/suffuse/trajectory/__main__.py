"""`python -m suffuse.trajectory`: the command line."""

from suffuse.trajectory.cli import main

if __name__ == "__main__":
    main()
