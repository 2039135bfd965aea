"""The weights of the study that are in the package, in half precision."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from safetensors.torch import load_file, save
from torch import Tensor, nn

from suffuse.backbone_cli.study.classifier import EXTRACTOR, FashionClassifier
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.fashion import Fashion
from suffuse.backbone_cli.study.flow import scaled
from suffuse.backbone_cli.study.measures import frechet_distance, moments
from suffuse.backbone_cli.study.recipes import Recipe

FOLDER = Path(__file__).parent.parent / "models"
WEIGHTS = "weights.safetensors"
MOMENTS = "moments.safetensors"


def write_study(model: nn.Module, folder: Path, facts: dict[str, object]) -> None:
    """Write the weights of a study model in half precision, and `facts` about its training."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(halves))
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def load_study(recipe: Recipe, folder: Path | None = None) -> nn.Module:
    """A study model with its weights, in single precision, ready to sample. Raises StudyError if they are not there."""
    path = (folder or FOLDER / recipe.name) / WEIGHTS
    if not path.is_file():
        raise StudyError(f"{path} is not there: train it by `suffuse backbone study {recipe.name}`")
    model = recipe.make()
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Judge:
    """The classifier, and what its features are like on the 10,000 real test images."""

    classifier: FashionClassifier
    mean: Tensor
    covariance: Tensor

    @torch.no_grad()
    def features(self, images: Float[Tensor, "b 1 32 32"]) -> Float[Tensor, "b f"]:
        """Features of images in [-1, 1]."""
        parts = images.clamp(-1, 1).chunk(-(-len(images) // 500))
        return torch.cat([self.classifier.features(some) for some in parts])

    def distance(self, images: Float[Tensor, "b 1 32 32"]) -> float:
        """FD-fashion-cnn of a set of images to the real ones."""
        return self._apart(self.features(images))

    def compared(self, features: Float[Tensor, "b f"], others: Float[Tensor, "b f"]) -> float:
        """FD-fashion-cnn of a set with these features to the real ones, less that of another set."""
        return self._apart(features) - self._apart(others)

    def _apart(self, features: Float[Tensor, "b f"]) -> float:
        return frechet_distance(*moments(features), self.mean, self.covariance)

    @torch.no_grad()
    def recognised(self, images: Float[Tensor, "b 1 32 32"], labels: Int64[Tensor, " b"]) -> Float[Tensor, " b"]:
        """1 where the class of an image is the one that was asked for, else 0."""
        return (self.classifier(images.clamp(-1, 1)).argmax(dim=1) == labels).float()


def write_judge(classifier: FashionClassifier, test: Fashion, folder: Path) -> None:
    """Write the classifier in half precision and the moments of its features on real images."""
    nn.Module.half(classifier.eval()).save_pretrained(folder)
    judge = Judge(nn.Module.float(classifier), torch.empty(0), torch.empty(0))
    mean, covariance = moments(judge.features(scaled(test.images)))
    (folder / MOMENTS).write_bytes(save({"mean": mean, "covariance": covariance}))


def load_judge() -> Judge:
    """The shipped classifier and moments."""
    folder = FOLDER / EXTRACTOR
    found = load_file(folder / MOMENTS)
    classifier = nn.Module.float(FashionClassifier.from_pretrained(folder))
    return Judge(classifier.eval().requires_grad_(False), found["mean"], found["covariance"])
