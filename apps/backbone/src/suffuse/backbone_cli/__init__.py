"""The command line of the backbone, and the study on which its shortcuts are compared."""
