"""Each member declares exactly the libraries that it imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = [path.parent for path in sorted(ROOT.glob("*/*/pyproject.toml"))]
USED_BY_A_LIBRARY = {
    "pyarrow": "pandas and geopandas write Parquet with it",
    "tensorboard": "torch.utils.tensorboard writes with it",
}


def canonical(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(member: Path) -> set[str]:
    """The distributions that a member depends on, those of its extras included."""
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    return {canonical(re.match(r"[\w.-]+", line)[0]) for group in groups for line in group}


def imported(member: Path) -> set[str]:
    """The distributions that the modules of a member import anywhere, in functions too."""
    modules = set()
    for path in member.rglob("src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules.add(node.module or "")
    owners = packages_distributions()
    found = set()
    for module in modules:
        top, *rest = module.split(".")
        if top == "suffuse":
            member = rest[1] if rest[0] == "commands" else rest[0]  # each brings its own module of `suffuse.commands`
            found.add("suffuse" if member in ("cli", "suffuse") else canonical(f"suffuse-{member}"))
        elif top not in sys.stdlib_module_names:
            found |= {canonical(owner) for owner in owners.get(top, [top])}
    return found


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_what_is_imported_is_declared_and_the_other_way_round(member: Path) -> None:
    name = canonical(tomllib.loads((member / "pyproject.toml").read_text())["project"]["name"])
    needed, wanted = imported(member) - {name}, declared(member)
    by_entry_point = {other for other in wanted if other.startswith("suffuse-")} if name == "suffuse" else set()
    assert needed - wanted == set(), "imported, but not declared"
    assert wanted - needed - by_entry_point - set(USED_BY_A_LIBRARY) == set(), "declared, but not imported"
