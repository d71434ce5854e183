"""The built wheel in a fresh environment and an empty folder: the command, the recipes, and the three lines."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

from hpe.visualization.grids import write_image

ROOT = pathlib.Path(__file__).resolve().parents[2]
_SOURCES = ("src", "configs", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICE")
_WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"

_THREE_LINES = """
import json, sys
import hpe
import numpy as np

model = hpe.load(sys.argv[1])
people = model.predict(np.full((90, 60, 3), 200, np.uint8))
people[0].save("person.json")
print(json.dumps([hpe.__file__, model.name, people[0].vertices.shape]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of programs of an environment with the wheel; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: what a build leaves behind would go into the next wheel.
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
            shutil.copytree(source, folder / "source" / name, ignore=ignored)
        else:
            shutil.copy(source, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps"]
    build = ["wheel", "--no-build-isolation", *offline, "-w", str(folder), str(folder / "source")]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("hpe-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = str(programs / "python")
    subprocess.run([*pip, "--python", python, "install", *offline, str(wheel)], check=True)
    packages = subprocess.run(
        [python, "-c", _WHERE], capture_output=True, text=True, check=True
    ).stdout.strip()
    # Behind the environment's own packages, so that its hpe is the wheel's.
    (pathlib.Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


def run(program, *arguments, folder):
    # What the tests set for themselves a user has not.
    ours = ("PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_wheel_is_enough(installed, trained, tmp_path):
    write_image(tmp_path / "photo.png", np.full((90, 60, 3), 200, np.uint8))
    # The run has been moved to another machine.
    shutil.copytree(trained.run, tmp_path / "runs" / "x")
    done = run(installed / "hpe", "preview", "photo.png", "--checkpoint=runs/x", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "wrote runs/preview/photo.png" in done.stdout
    assert (tmp_path / "runs" / "preview" / "photo.png").exists()

    done = run(installed / "python", "-c", _THREE_LINES, tmp_path / "runs" / "x", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    home, name, shape = json.loads(done.stdout)
    assert pathlib.Path(home).is_relative_to(installed.parent)
    assert (name, shape) == ("hybrid_hmr", [6000, 3])
    assert json.loads((tmp_path / "person.json").read_text())["schema"] == "hpe.people"


def test_recipes_travel_in_the_wheel(installed, tmp_path):
    code = "from hpe.programs.plugins import recipes; print(*recipes().values())"
    found = run(installed / "python", "-c", code, folder=tmp_path).stdout.split()
    assert {pathlib.Path(path).name for path in found} == {path.name for path in ROOT.glob("configs/*.cfg")}
    assert all(pathlib.Path(path).is_relative_to(installed.parent) for path in found)
    done = run(installed / "hpe", "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
