"""The verbs, on a tiny pipeline saved by diffusers, and what they refuse."""

import json
from pathlib import Path

import diffusers
import pytest
import torch
from typer.testing import CliRunner, Result

from suffuse.backbone_cli.cli import app


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DDPM pipeline with random weights."""
    folder = tmp_path_factory.mktemp("pipeline")
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(4, 8, 8),
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        norm_num_groups=2,
    )
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(folder)
    return folder


def test_calibrate_and_report_on_a_pipeline(pipeline: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache.json"
    given = ["--model", pipeline, "--steps", 14]
    done = run("calibrate", *given, "--shortcut", "feature-inheritance", "--budget", 0.8, "--episodes", 1, "--out", out)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert (found["shortcut"], found["budget"], found["model"]) == ("feature-inheritance", 0.8, "UNet2DModel")
    assert json.loads((tmp_path / "cache.json.run.json").read_text())["fraction"] == found["fraction"]
    done = run("report", *given, "--shortcut", out, "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    assert "feature-inheritance: " in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["fraction"] == pytest.approx(found["fraction"])
    assert len(report["steps"]) == 14
    done = run("report", *given, "--shortcut", out, "--budget", 0.5)
    assert "cache.json was calibrated for budget 0.8" in " ".join(done.output.split())


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that is asked for a class, with random weights."""
    folder = tmp_path_factory.mktemp("classes")
    torch.manual_seed(0)
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=1, attention_head_dim=8, num_layers=2, sample_size=8, out_channels=8, norm_num_groups=4
    )
    vae = diffusers.AutoencoderKL(block_out_channels=(4,), norm_num_groups=4, latent_channels=4)
    diffusers.DiTPipeline(transformer, vae, diffusers.DDIMScheduler(), id2label={0: "cat"}).save_pretrained(folder)
    return folder


def test_a_pipeline_of_classes(of_classes: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "classes.txt"
    prompts.write_text("0\n")
    done = run("report", "--model", of_classes, "--steps", 6, "--prompts", prompts, "--budget", 0.8)
    assert done.exit_code == 0, done.output
    assert "delta-cache: " in done.stdout
    done = run("report", "--model", of_classes, "--steps", 6)
    assert "cannot sample: " in done.output
    assert "give it some by --prompts" in done.output
    prompts.write_text("cat\n")
    done = run("report", "--model", of_classes, "--steps", 6, "--prompts", prompts)
    assert "holds 'cat', but this pipeline takes numbers of classes" in " ".join(done.output.split())
    done = run("report", "--model", of_classes, "--shortcut", "elastic-routing")
    assert "elastic-routing has a trained part: name its file by --shortcut" in " ".join(done.output.split())
    damaged = tmp_path / "x.safetensors"
    damaged.write_bytes(b"x")
    done = run("report", "--model", of_classes, "--shortcut", damaged)
    assert "holds no feedback" in " ".join(done.output.split())
    assert "holds no routers" in " ".join(done.output.split())


def test_centroids_have_nothing_to_do_among_few_tokens(of_classes: Path, tmp_path: Path) -> None:
    prompts, out = tmp_path / "classes.txt", tmp_path / "cache.json"
    prompts.write_text("0\n")
    given = ["--steps", 6, "--prompts", prompts, "--episodes", 1, "--out", out]
    done = run("calibrate", "--model", of_classes, "--shortcut", "centroid-attention", *given)
    assert done.exit_code == 2
    assert "no attention is among at least 1024 tokens" in " ".join(done.output.split())
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["report", "--model", "nowhere"], "--model is 'nowhere', but must be dit, unet or the folder of a pipeline"),
        (["report", "--model", "dit", "--prompts", "x.txt"], "--prompts goes with a pipeline"),
        (["report", "--model", "dit", "--budget", "0"], "'0' is no number from 0 to 1, 0 excluded"),
        (["report", "--model", "dit", "--shortcut", "magic"], "there is no shortcut 'magic'"),
        (["calibrate", "--model", "dit", "--out", "no/where.json"], "there is no folder no"),
        (
            ["calibrate", "--model", "dit", "--out", "x.json", "--shortcut", "elastic-routing"],
            "is trained, not calibrated",
        ),
        (["benchmark", "--study", "gan"], "there is no study 'gan'; there are dit, unet"),
        (["benchmark", "--budgets", "0.3,2"], "--budgets holds '2'"),
        (["benchmark", "--methods", "magic"], "--methods is 'magic', but must be words of "),
        (["study", "gan", "--out", "x"], "there is no study model 'gan'"),
        (["study", "dit", "--out", "x", "--data", "nowhere"], "no Fashion-MNIST in nowhere"),
        (["train", "magic", "--out", "x.safetensors"], "there is nothing to train for 'magic'"),
        (["train", "ilf", "--out", "x.bin"], "must end in .safetensors"),
        (["train", "elastic-routing", "--study", "unet", "--out", "x.safetensors"], "needs blocks, which only dit has"),
        (["train", "ilf", "--study", "gan", "--out", "x.safetensors"], "there is no study 'gan'"),
    ],
)
def test_what_is_refused_is_said_in_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())
    assert not list(tmp_path.iterdir())
