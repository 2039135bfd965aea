"""What holds for every test: nothing is fetched, slow is no failure, and processes do not fight over the cores."""

import os

from hypothesis import settings

# Set before anything imports torch, numba or a hub client, which read them once.
os.environ["HF_HUB_OFFLINE"] = "1"
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")

settings.register_profile("suffuse", deadline=None)
settings.load_profile("suffuse")
