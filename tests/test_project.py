"""The project's own promises: one list of dependencies, no machine's name, nothing built at import."""

import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_environment_yml_has_the_dependencies_of_pyproject():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lines = (ROOT / "environment.yml").read_text().splitlines()
    start = lines.index("  - pip:")
    listed = [line.strip().removeprefix("- ") for line in lines[start + 1 :] if line.strip()]
    assert sorted(listed) == sorted([*dependencies, "-e ."])


def test_every_dependency_says_what_it_saves():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for dependency in dependencies:
        name = re.match(r"[\w-]+", dependency).group()
        assert f"`{name}`" in text, f"docs/dependencies.md does not mention {name}"


def test_building_networks_never_loads_a_renderer():
    """One process imports all: what none of them loads together, none loads alone."""
    modules = "hpe.systems, hpe.networks.regressor, hpe.body.body_model"
    unwanted = "name.startswith('hpe.visualization') for name in sys.modules"
    code = f"import {modules}, sys; sys.exit(any({unwanted}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
