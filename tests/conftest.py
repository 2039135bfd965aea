"""What holds for every test: nothing is fetched, and the processes of a parallel run do not fight over the cores."""

import os

# Set before anything imports torch, numba or a hub client, which read them once.
os.environ["HF_HUB_OFFLINE"] = "1"
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")
