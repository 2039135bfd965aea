"""Kept outputs are what was put, or nothing."""

import torch

from suffuse.backbone.engine import ValueCache


def test_what_was_written_to_since_is_not_handed_out() -> None:
    cache = ValueCache()
    output = (torch.ones(2), [torch.zeros(3), None], {"a": torch.full((1,), 5.0)})
    assert cache.get("x") == (False, None)
    cache.put("x", output)
    known, kept = cache.get("x")
    assert known
    assert kept is output
    output[1][0].add_(1)
    assert cache.get("x") == (False, None)
    # From now on this key is copied, when it is put and when it is handed out.
    cache.put("x", output)
    output[0].add_(1)
    for _ in range(2):
        known, kept = cache.get("x")
        assert known
        assert torch.equal(kept[0], torch.ones(2))
        kept[0].add_(7)
    assert kept[1][1] is None
    assert torch.equal(kept[2]["a"], torch.full((1,), 5.0))


def test_inference_tensors_are_copied() -> None:
    cache = ValueCache()
    with torch.inference_mode():
        output = torch.ones(2)
        cache.put("x", output)
        output.add_(1)
        assert torch.equal(cache.get("x")[1], torch.ones(2))
