"""Inner loop feedback: untrained it is the forecast, trained it comes nearer, and the backbone is left alone."""

import pytest
import torch
from torch import Tensor

from suffuse.backbone import accelerate
from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import Feedback, ForecastCache, InnerLoopFeedback, shortcut
from suffuse.backbone.sites import Backbone, probe

STEPS = 10


def generated(denoiser, shortcut) -> Tensor:
    with accelerate(denoiser.model, shortcut, steps=STEPS):
        return denoiser.generate(STEPS)


def test_untrained_it_is_the_forecast(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    runs = (0, 2, 5, 9)
    forecast = generated(denoiser, ForecastCache(steps=STEPS, runs=runs))
    feedback = Feedback(denoiser.model)
    assert torch.equal(generated(denoiser, InnerLoopFeedback(feedback=feedback, steps=STEPS, runs=runs)), forecast)
    torch.nn.init.ones_(feedback.scale)
    assert not torch.allclose(
        generated(denoiser, InnerLoopFeedback(feedback=feedback, steps=STEPS, runs=runs)), forecast
    )


def test_two_streams_are_corrected_both(make_denoiser) -> None:
    """With a scale of 1 each stream is what the copied block makes of what was foretold."""
    denoiser = make_denoiser("SD3Transformer2DModel")
    feedback = Feedback(denoiser.model, 0)
    streams = probe(Backbone(denoiser.model), **denoiser.inputs).of_kind("block")[0].streams
    arguments = {"hidden_states": torch.randn(2, 16, 16), "encoder_hidden_states": torch.randn(2, 6, 16)}
    arguments["temb"] = torch.randn(2, 16)
    torch.nn.init.ones_(feedback.scale)
    text, image = denoiser.model.transformer_blocks[0](**arguments)
    found = feedback(arguments, streams)
    torch.testing.assert_close(found, {"encoder_hidden_states": text, "hidden_states": image})


def test_distillation_comes_nearer_and_leaves_the_backbone_alone(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    before = {name: tensor.clone() for name, tensor in denoiser.model.state_dict().items()}
    feedback = Feedback(denoiser.model)
    one = InnerLoopFeedback(feedback=feedback, steps=STEPS, runs=(0, 4, 9))
    errors = []
    optimizer = torch.optim.Adam(feedback.parameters(), lr=3e-3)
    call = {**denoiser.inputs, "return_dict": False}
    for _ in range(30):
        with accelerate(denoiser.model, one, steps=STEPS) as session:
            for step in (0, 4, 7):
                session.step(step)
                scaled = call | {"timestep": call["timestep"] * (1 - 0.08 * step)}
                made = denoiser.model(**scaled)[0]
        optimizer.zero_grad()
        loss = (made - denoiser.model(**scaled)[0]).square().mean()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert errors[-1] < 0.5 * errors[0]
    for name, tensor in denoiser.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in denoiser.model.parameters())


def test_its_own_work_is_counted(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    feedback = Feedback(denoiser.model)
    with accelerate(denoiser.model, InnerLoopFeedback(feedback=feedback, budget=0.8), steps=STEPS) as session:
        denoiser.generate(STEPS)
    report = session.report()
    block = probe(Backbone(denoiser.model), **denoiser.inputs).of_kind("block")[-1]
    light = sum(1 for step in report.steps if step.flops_run < step.flops_full)
    assert light > 0
    assert report.flops_overhead == pytest.approx(block.flops * 2 * light)
    assert report.fraction == pytest.approx(0.8, abs=0.5 / STEPS)


def test_a_sample_does_not_depend_on_its_batch_mates(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    feedback = Feedback(denoiser.model)
    torch.nn.init.ones_(feedback.scale)
    one = InnerLoopFeedback(feedback=feedback, budget=0.7)
    first = generated(denoiser, one).view(STEPS, 2, -1)[:, 0]
    denoiser.inputs["hidden_states"][1] *= 3
    torch.testing.assert_close(generated(denoiser, one).view(STEPS, 2, -1)[:, 0], first)


def test_it_is_saved_and_read(make_denoiser, tmp_path) -> None:
    model = make_denoiser("DiTTransformer2DModel").model
    feedback = Feedback(model, 1)
    torch.nn.init.constant_(feedback.scale, 0.25)
    feedback.save(tmp_path / "feedback.safetensors")
    read = Feedback.load(tmp_path / "feedback.safetensors", model)
    assert read.depth == 1
    assert all(torch.equal(read.state_dict()[name], tensor) for name, tensor in feedback.state_dict().items())
    (tmp_path / "other").write_bytes(b"no tensors")
    with pytest.raises(ShortcutError, match="other holds no feedback for a DiTTransformer2DModel"):
        Feedback.load(tmp_path / "other", model)
    with pytest.raises(ShortcutError, match=r"depth must be in \[-3, 2\], got 3"):
        Feedback(model, 3)
    with pytest.raises(ShortcutError, match="inner-loop-feedback needs feedback"):
        shortcut("inner-loop-feedback", budget=0.5)
