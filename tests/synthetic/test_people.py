"""Synthetic people: everything known of them agrees, and nothing depends on when or where they were made."""

import dataclasses
import hashlib
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project
from hpe.skeletons import COCOPLUS19
from hpe.synthetic.dressed_body import NumpyBody
from hpe.synthetic.people import SyntheticConfig, generate
from hpe.visualization.rasterizer import render_mask, weak_perspective_camera

SMALL = SyntheticConfig(image_size=200, seed=5)
NUMBER = 24


@pytest.fixture(scope="module")
def body():
    return load_body_model("default")


@pytest.fixture(scope="module")
def samples(body):
    return [generate(index, SMALL, body) for index in range(NUMBER)]


def decoded(sample):
    image = cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR)
    mask = cv2.imdecode(np.frombuffer(sample.mask, np.uint8), cv2.IMREAD_UNCHANGED)
    return image, mask


def digest(sample):
    arrays = (sample.joints2d, sample.joints3d, sample.pose, sample.shape, sample.camera, sample.visibility)
    return hashlib.sha256(sample.image + sample.mask + b"".join(a.tobytes() for a in arrays)).hexdigest()


def test_another_process_makes_the_same_bytes(samples):
    """It makes a single one, without those before, and with another number of BLAS threads."""
    program = (
        "import hashlib\n"
        "from hpe.body.data import load_body_model\n"
        "from hpe.synthetic.people import SyntheticConfig, generate\n"
        "s = generate(17, SyntheticConfig(image_size=200, seed=5), load_body_model('default'))\n"
        "a = (s.joints2d, s.joints3d, s.pose, s.shape, s.camera, s.visibility)\n"
        "print(hashlib.sha256(s.image + s.mask + b''.join(x.tobytes() for x in a)).hexdigest())\n"
    )
    threads = "2" if os.environ.get("OPENBLAS_NUM_THREADS") == "1" else "1"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": "7"}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.split()[-1] == digest(samples[17])


def test_index_and_seed_decide(body, samples):
    assert len({digest(sample) for sample in samples}) == NUMBER
    other = generate(0, dataclasses.replace(SMALL, seed=6), body)
    assert digest(other) != digest(samples[0])
    assert digest(generate(3, SMALL, body)) == digest(samples[3])
    assert samples[3].name != other.name


def test_needs_no_network_library():
    program = "import sys, hpe.synthetic.people; print({'keras', 'tensorflow'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_camera_projects_3d_joints_to_2d_joints(samples):
    for sample in samples:
        points = weak_perspective_project(sample.joints3d[None], sample.camera[None])[0]
        pixels = normalized_to_pixels(points, max(sample.height, sample.width))
        np.testing.assert_allclose(pixels, sample.joints2d, atol=1e-3)


def test_pose_and_shape_give_joints_and_mask(body, samples):
    """The mask is what the rasteriser covers, pixel by pixel."""
    posed = NumpyBody(body)
    for sample in samples:
        vertices, _ = posed.pose(sample.pose, sample.shape)
        keypoints = body.keypoint_regressors[COCOPLUS19.name] @ vertices
        np.testing.assert_allclose(keypoints, sample.joints3d, atol=1e-5)
        camera = weak_perspective_camera(sample.camera, sample.width)
        _, mask = decoded(sample)
        expected = render_mask(vertices, body.faces, camera, (sample.height, sample.width))
        np.testing.assert_array_equal(mask, expected * np.uint8(255))


def test_joints_of_the_trunk_lie_on_the_mask(samples):
    trunk = [
        COCOPLUS19.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "shoulder")
    ]
    for sample in samples:
        _, mask = decoded(sample)
        for joint in trunk:
            if sample.visibility[joint]:
                x, y = np.round(sample.joints2d[joint]).astype(int).clip(0, sample.width - 1)
                assert mask[y, x] == 255, (sample.name, COCOPLUS19.joints[joint])


def test_visible_means_inside_the_image(samples):
    for sample in samples:
        x, y = sample.joints2d.T
        inside = (x >= -0.5) & (y >= -0.5) & (x < sample.width - 0.5) & (y < sample.height - 0.5)
        np.testing.assert_array_equal(sample.visibility, inside)
        assert sample.visibility.sum() >= 8
    everyone = np.concatenate([sample.visibility for sample in samples])
    assert 0.9 < everyone.mean() < 1, "some people, but not many, should leave the image"


def test_fields_are_what_a_sample_promises(body, samples):
    for sample in samples:
        image, mask = decoded(sample)
        assert image.shape == (sample.height, sample.width, 3) == (200, 200, 3)
        assert mask.shape == (200, 200)
        assert set(np.unique(mask)) == {0, 255}
        assert sample.image[:2] == b"\xff\xd8"
        shown = sample.joints2d[sample.visibility > 0]
        np.testing.assert_allclose(sample.center, (shown.min(axis=0) + shown.max(axis=0)) / 2, rtol=1e-6)
        assert sample.scale is None
        assert (sample.skeleton, sample.skeleton3d, sample.body_model) == (
            "cocoplus19",
            "cocoplus19",
            body.name,
        )
        shapes = {"joints2d": (19, 2), "joints3d": (19, 3), "pose": (72,), "shape": (10,), "camera": (3,)}
        for name, shape in shapes.items():
            value = getattr(sample, name)
            assert (value.shape, value.dtype) == (shape, np.float32), name
            assert np.isfinite(value).all()


def test_people_are_about_150_pixels_tall(samples):
    extents = [np.ptp(np.argwhere(decoded(sample)[1] > 0), axis=0).max() for sample in samples]
    assert 125 < np.median(extents) < 165


def test_people_stand_upright_and_turn_about(samples):
    head, hips = COCOPLUS19.index("head_top"), [COCOPLUS19.index("left_hip"), COCOPLUS19.index("right_hip")]
    above = [s.joints3d[head, 1] < s.joints3d[hips, 1].mean() for s in samples]
    facing = [s.joints3d[hips[0], 0] > s.joints3d[hips[1], 0] for s in samples]
    assert np.mean(above) > 0.8
    assert 0.2 < np.mean(facing) < 0.8


def test_person_differs_from_the_background(samples):
    """The picture shows the person where the mask says: colours change across its edge."""
    steps = []
    for sample in samples:
        image, mask = decoded(sample)
        inner = cv2.erode(mask, np.ones((5, 5))) > 0
        outer = (cv2.dilate(mask, np.ones((9, 9))) > 0) & ~(cv2.dilate(mask, np.ones((5, 5))) > 0)
        steps.append(np.abs(image[inner].mean(axis=0) - image[outer].mean(axis=0)).max())
    assert np.median(steps) > 20


def test_occluders_hide_pixels_and_joints(body, samples):
    covered = [generate(i, dataclasses.replace(SMALL, occluders=1.0), body) for i in range(NUMBER)]
    hidden_joints = 0
    for bare, sample in zip(samples, covered, strict=True):
        np.testing.assert_array_equal(bare.joints2d, sample.joints2d)
        before, after = decoded(bare)[1] > 0, decoded(sample)[1] > 0
        assert not (after & ~before).any()
        assert after.sum() < before.sum()
        assert (sample.visibility <= bare.visibility).all()
        hidden_joints += (sample.visibility < bare.visibility).sum()
    assert hidden_joints > 0


@pytest.mark.parametrize("what", ["others", "truncated"])
def test_what_else_is_in_the_way_changes_nothing_of_the_person(body, samples, what):
    hidden = smaller = 0
    for index, bare in enumerate(samples[:8]):
        sample = generate(index, dataclasses.replace(SMALL, **{what: 1.0}), body)
        np.testing.assert_array_equal(sample.pose, bare.pose)
        np.testing.assert_array_equal(sample.joints3d, bare.joints3d)
        image, mask = decoded(sample)
        assert image.shape == (*mask.shape, 3) == (sample.height, sample.width, 3)
        points = weak_perspective_project(sample.joints3d[None], sample.camera[None])[0]
        pixels = normalized_to_pixels(points, max(sample.height, sample.width))
        np.testing.assert_allclose(pixels, sample.joints2d, atol=2e-3)
        assert sample.visibility.sum() >= (8 if what == "truncated" else 1)
        x, y = sample.joints2d[sample.visibility > 0].T
        assert ((x >= -0.5) & (y >= -0.5) & (x < sample.width) & (y < sample.height)).all()
        smaller += (sample.height, sample.width) != (200, 200)
        hidden += (mask > 0).sum() < (decoded(bare)[1] > 0).sum()
    assert hidden > 0
    assert (smaller > 4) == (what == "truncated")


def test_poses_can_come_from_motion_capture(body):
    poses = np.random.default_rng(0).normal(0, 0.2, (3, 72))
    before = poses.copy()
    found = {
        np.abs(poses[:, 3:] - generate(i, SMALL, body, poses=poses).pose[3:]).max(axis=1).argmin()
        for i in range(8)
    }
    np.testing.assert_array_equal(poses, before)
    assert len(found) > 1
    sample = generate(0, SMALL, body, poses=poses)
    assert np.abs(poses[:, 3:] - sample.pose[3:]).max(axis=1).min() < 1e-6


def test_photographs_as_backgrounds(body, tmp_path):
    (tmp_path / "sub").mkdir()
    cv2.imwrite(str(tmp_path / "sub" / "red.png"), np.full((90, 120, 3), (0, 0, 200), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    config = dataclasses.replace(SMALL, backgrounds=str(tmp_path))
    for index in range(4):
        image, mask = decoded(generate(index, config, body))
        blue, green, red = image[cv2.dilate(mask, np.ones((9, 9))) == 0].mean(axis=0)
        assert red > blue + 60
        assert red > green + 60


def test_missing_backgrounds_are_one_line(body):
    with pytest.raises(UserError, match=r"^backgrounds=/no/where: no such folder"):
        generate(0, SyntheticConfig(backgrounds="/no/where"), body)


def test_any_body_in_the_layout_can_be_shown(body):
    """One without painted regions, with fewer shape components and with pose correctives."""
    rng = np.random.default_rng(1)
    other = dataclasses.replace(
        body,
        vertex_regions=None,
        vertex_colors=None,
        shape_dirs=body.shape_dirs[:, :, :4],
        pose_dirs=rng.normal(0, 1e-4, (len(body.v_template), 3, 207)).astype(np.float32),
    )
    sample = generate(2, SMALL, other)
    assert (sample.shape[4:] == 0).all()
    assert decoded(sample)[1].any()


@pytest.mark.parametrize("bad", [{"image_size": 20}, {"occluders": 1.5}, {"seed": -1}])
def test_config_refuses_nonsense(bad):
    name, value = next(iter(bad.items()))
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        SyntheticConfig(**bad)


def test_heading_limits_how_far_people_turn_away(body):
    config = SyntheticConfig(heading=0.0, image_size=64)
    for index in range(12):
        rotmat = cv2.Rodrigues(generate(index, config, body).pose[:3].astype(np.float64))[0]
        # The rest pose's z axis points out of the chest; the camera looks along +z.
        if abs(rotmat[2, 1]) < 0.5:  # not lying
            assert rotmat[2, 2] < 0
    with pytest.raises(ValueError, match="heading"):
        SyntheticConfig(heading=200.0)
