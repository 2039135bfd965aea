"""Two data-parallel processes make the same updates as one that takes both their batches."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from suffuse.backbone.train import TrainError, read_log

pytestmark = pytest.mark.slow


SCRIPT = Path(__file__).with_name("two_processes.py")


def launch_two(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    directory.mkdir(exist_ok=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [sys.executable, *torchrun, str(SCRIPT), str(directory), *words],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def test_two_processes_equal_one_and_resume_exactly(tmp_path: Path) -> None:
    one, two, cut = tmp_path / "one", tmp_path / "two", tmp_path / "cut"
    script = runpy.run_path(str(SCRIPT))
    one.mkdir()
    script["main"](one, resume=False, stop_before=-1)
    done = launch_two(two)
    assert done.returncode == 0, done.stderr
    for name in ("ema", "raw"):
        single = load_file(one / f"{name}-0.safetensors")
        ranks = [load_file(two / f"{name}-{rank}.safetensors") for rank in (0, 1)]
        for key, value in single.items():
            torch.testing.assert_close(ranks[0][key], value, rtol=1e-9, atol=1e-12)
            assert torch.equal(ranks[0][key], ranks[1][key])
    for ours, theirs in zip(read_log(two / "run"), read_log(one / "run"), strict=True):
        assert ours["values"] == pytest.approx(theirs["values"], rel=1e-6)

    assert launch_two(cut, "stop").returncode != 0
    with pytest.raises(TrainError, match=r"processes is 1, but the run in .* has 2; a resumed run must keep it"):
        script["main"](cut, resume=True, stop_before=-1)
    resumed = launch_two(cut, "resume")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("ema-0", "ema-1", "raw-0", "raw-1"):
        whole, again = (load_file(directory / f"{name}.safetensors") for directory in (two, cut))
        assert all(torch.equal(whole[key], again[key]) for key in whole)
