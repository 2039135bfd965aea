"""The shortcut that the guide writes does what the guide says."""

import re
from pathlib import Path

import pytest
import torch

from suffuse.backbone import accelerate

GUIDE = Path(__file__).parents[3] / "docs" / "backbone" / "plugins.md"


def test_the_shortcut_of_the_guide(plain_denoiser) -> None:
    """Rows in which a block changed little in its first run are left out from the second step to the last but one."""
    names: dict[str, object] = {"__name__": "guide"}
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, names)
    torch.manual_seed(1)
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    x[1] *= 1e4  # the changes, which are at most 1, are small beside it
    time = torch.zeros(2, dtype=torch.float64)
    full = plain_denoiser(x, time)
    with accelerate(plain_denoiser, names["LeaveOutLazyBlocks"](least=0.01), steps=4) as session:
        outputs = [plain_denoiser(x, time) for _ in range(4)]
    torch.testing.assert_close(outputs[0], full)
    torch.testing.assert_close(outputs[3], full)
    for output in outputs[1:3]:
        torch.testing.assert_close(output[0], full[0])
        assert torch.equal(output[1], x[1])
    assert session.report().fraction == pytest.approx(0.75)
