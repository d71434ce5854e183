"""The project's own promises: one list of dependencies, no machine's name, nothing built at import."""

import pathlib
import re
import subprocess
import sys
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parent.parent


def dependencies(*extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]


def test_every_dependency_is_pinned_within_its_range():
    """What `make` and conda install is what was tested; what pip installs beside other packages is a range."""
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for line in dependencies("cuda", "jax", "export", "heif", "bench", "test"):
        requirement = Requirement(line)
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, line
        assert requirement.name == "ruff" or "==" not in line
    text = (ROOT / "environment.yml").read_text()
    assert "--constraint constraints.txt" in text
    assert "--editable ." in text


def test_every_dependency_says_what_it_saves():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    for dependency in dependencies():
        name = re.match(r"[\w-]+", dependency).group()
        assert f"`{name}`" in text, f"docs/dependencies.md does not mention {name}"


def test_building_networks_never_loads_a_renderer():
    """One process imports all: what none of them loads together, none loads alone."""
    modules = "hpe.systems, hpe.networks.regressor, hpe.body.body_model"
    unwanted = "name.startswith('hpe.visualization') for name in sys.modules"
    code = f"import {modules}, sys; sys.exit(any({unwanted}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
