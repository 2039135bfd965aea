"""`python -m suffuse.policy`: the command line."""

from suffuse.commands.policy import main

if __name__ == "__main__":
    main()
