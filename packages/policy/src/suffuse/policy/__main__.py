"""`python -m suffuse.policy`: the command line."""

from suffuse.policy.cli import main

if __name__ == "__main__":
    main()
