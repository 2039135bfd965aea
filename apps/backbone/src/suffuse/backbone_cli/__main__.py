"""`python -m suffuse.backbone_cli`: the command line."""

from suffuse.commands.backbone import main

if __name__ == "__main__":
    main()
