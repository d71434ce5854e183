"""Models: people in the pixels and the camera of their frame, and 2D joints that are lifted."""

import itertools
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from hpe import skeletons, systems
from hpe.errors import UserError
from hpe.geometry.crops import box_crop
from hpe.inference.model import Model
from hpe.systems.hybrid_hmr import HybridHmrConfig, build_hybrid_hmr
from hpe.systems.inputs import ImageInput
from hpe.systems.lifter import InputFrame, LifterConfig, LiftingSystem
from hpe.systems.movenet import MoveNetBodyConfig
from tests.inference.public_face import FACE
from tests.inference.test_sources import write_video


@pytest.fixture(scope="module")
def model():
    """An untrained hybrid HMR, whose people are near the mean person, and its crops of 48 pixels."""
    keras.utils.set_random_seed(0)
    config = HybridHmrConfig(encoder="small", encoder_weights="none", num_stage=1, compile_body=False)
    system = build_hybrid_hmr(config, ImageInput(img_size=48), build_critic=False, pretrained=False)
    # Near the mean: what is drawn by chance may lie behind the camera.
    for variable in system.regressor.trainable_variables:
        if variable.path.endswith("kernel"):
            variable.assign(0.1 * variable)
    return Model(system)


PICTURE = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
BOXES = [(20.0, 10.0, 30.0, 70.0), (100.0, 5.0, 40.0, 60.0), (-10.0, 40.0, 50.0, 60.0)]


def crop_pixels(model, box, points):
    """Pixels of the frame at which the crop's own weak-perspective camera sees points (N, 3)."""
    crop = box_crop(box, 48)
    prediction = model.predictor.predict_one(crop.take(PICTURE))
    s, tx, ty = prediction.camera[0]
    normalised = s * (points[:, :2] + (tx, ty))
    return crop.to_frame(normalised), prediction


def test_a_long_lens_sees_every_joint_and_vertex_where_the_crop_said(model):
    for box, person in zip(BOXES, model.predict(PICTURE, boxes=BOXES, focal=1e5), strict=True):
        _, prediction = crop_pixels(model, box, np.zeros((1, 3)))
        for own, placed in ((prediction.joints3d, person.joints3d), (prediction.vertices, person.vertices)):
            expected, _ = crop_pixels(model, box, own[0].astype(np.float64))
            assert np.abs(person.camera.project(placed) - expected).max() < 0.1
            np.testing.assert_allclose(placed - person.translation, own[0], atol=1e-3)
        assert person.reprojection_error < 0.1
        np.testing.assert_allclose(
            person.joints2d, box_crop(box, 48).to_frame(prediction.joints2d[0]), atol=1e-3
        )


def test_a_normal_lens_sees_the_joints_as_near_as_can_be(model):
    person = model.predict(PICTURE, boxes=BOXES[:1])[0]
    np.testing.assert_allclose(person.camera.focal, np.hypot(90, 160))
    np.testing.assert_allclose(person.camera.center, (79.5, 44.5))
    error = np.linalg.norm(person.camera.project(person.joints3d) - person.joints2d, axis=1).mean()
    assert person.reprojection_error == pytest.approx(error, abs=1e-3)
    assert 0 < error < 5
    for nudge in 0.02 * np.concatenate([np.eye(3), -np.eye(3)]):
        moved = person.camera.project(person.joints3d + nudge)
        assert (
            np.square(moved - person.joints2d).sum()
            > 0.9 * np.square(person.camera.project(person.joints3d) - person.joints2d).sum()
        )


def test_a_list_of_pictures_gives_a_list_of_lists(model):
    people = model.predict([PICTURE, PICTURE[:, :80]], boxes=[BOXES, None], focal=[100, 200])
    assert [len(found) for found in people] == [3, 1]
    assert [found[0].camera.focal[0] for found in people] == [100, 200]
    assert people[1][0].box == (0.0, 0.0, 80.0, 90.0)
    alone = model.predict(PICTURE, boxes=BOXES[1:2], focal=100)[0]
    np.testing.assert_allclose(people[0][1].joints3d, alone.joints3d, atol=1e-4)
    assert model.predict([]) == []
    assert model.predict(PICTURE, boxes=[]) == []


def test_what_a_person_holds(model):
    person = model.predict(PICTURE)[0]
    assert (person.score, person.track_id, person.body.model) == (1.0, None, "default")
    assert (person.skeleton, person.joints3d_skeleton) == ("cocoplus19", "cocoplus19")
    assert person.body.pose.shape == (24, 3, 3)
    assert person.vertices.shape[0] > person.faces.max()
    for name in ("joints2d", "confidence", "joints3d", "vertices", "translation"):
        assert getattr(person, name).dtype == np.float32, name
    assert person.draw(PICTURE).shape == PICTURE.shape


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"focal": -1}, ValueError, "focal is a positive number of pixels. Received: focal=-1"),
        ({"focal": "28mm"}, TypeError, "focal is a number of pixels"),
        ({"boxes": [(200, 0, 5, 5)]}, ValueError, "lies in the picture of 160 x 90"),
    ],
)
def test_wrong_calls(model, options, error, message):
    with pytest.raises(error, match=message):
        model.predict(PICTURE, **options)


def test_lists_that_do_not_fit(model):
    with pytest.raises(ValueError, match=r"boxes of a list of pictures .* Received: 1 for 2 pictures"):
        model.predict([PICTURE, PICTURE], boxes=[BOXES])
    with pytest.raises(UserError, match=r"hybrid_hmr takes pictures, not 2D joints: call predict\(image\)"):
        model.predict_joints2d(np.zeros((19, 2)), "cocoplus19")


class Detector:
    """Finds two people, wherever it looks."""

    def __call__(self, picture):
        self.seen = picture
        return types.SimpleNamespace(boxes=np.float32(BOXES[:2]), scores=np.float32([0.9, 0.5]))


def test_a_detector_finds_the_people_where_no_boxes_are_given(model):
    detector = Detector()
    people = model.predict([PICTURE, PICTURE], detector=detector)
    assert [[person.score for person in found] for found in people] == [[np.float32(0.9), 0.5]] * 2
    assert people[0][1].box == BOXES[1]
    np.testing.assert_array_equal(detector.seen, PICTURE)
    assert len(model.predict(PICTURE, boxes=BOXES, detector=detector)) == 3
    # Nobody is in a picture of noise.
    assert model.predict(PICTURE, detector="default") == []
    with pytest.raises(ValueError, match="detector is 'default', a PersonDetector, or None"):
        model.predict(PICTURE, detector="yolo")


def test_the_people_of_a_video_keep_their_numbers(model, tmp_path):
    frames = list(model.track([PICTURE] * 8, detector=Detector()))
    assert len(frames) == 8
    numbers = [[person.track_id for person in people] for people in frames]
    assert numbers[-1] == sorted(numbers[-1])
    assert len(numbers[-1]) == 2
    assert all(set(found) <= set(numbers[-1]) for found in numbers)
    write_video(tmp_path / "v.mp4", [(90, 90, 90)] * 3)
    assert len(list(model.track(tmp_path / "v.mp4", detector=None))) == 3


# ---- lifters -----------------------------------------------------------------------------------------------


def lifter(frame=InputFrame.CROP, skeleton="mpii16", **options):
    keras.utils.set_random_seed(0)
    config = LifterConfig(linear_size=16, dropout=0.0, input_frame=frame, **options)
    system = LiftingSystem(config, input_skeleton=skeleton)
    rng = np.random.default_rng(0)
    joints3d = rng.normal(scale=0.4, size=(40, 17, 3)).astype(np.float32)
    joints3d[:, 0] = 0
    shape = (40, len(skeletons.get(skeleton)), 2)
    spread = 0.2 if frame is InputFrame.RAY else 100
    system.adapt({"joints2d": rng.normal(scale=spread, size=shape).astype(np.float32), "joints3d": joints3d})
    return system


def joints(skeleton, people=2):
    rng = np.random.default_rng(1)
    return rng.uniform(20, 80, (people, len(skeletons.get(skeleton)), 2)) + rng.uniform(
        0, 100, (people, 1, 2)
    )


def test_joints_of_another_skeleton_are_lifted_by_their_names():
    model, found = Model(lifter()), joints("lsp14")
    people = model.predict_joints2d(found, "lsp14")
    shown = skeletons.convert(skeletons.LSP14, skeletons.MPII16, missing=True).coordinates(found)
    expected = np.asarray(model.system.infer(shown.astype(np.float32))["joints3d"])
    for person, own in zip(people, expected, strict=True):
        np.testing.assert_allclose(person.joints3d, own, atol=1e-5)
        assert person.camera is person.translation is person.vertices is None
        assert person.joints3d_skeleton == "h36m17"
    alone = model.predict_joints2d(found[0], "lsp14")[0]
    np.testing.assert_allclose(alone.joints3d, people[0].joints3d, atol=1e-5)


def test_with_the_size_of_the_picture_people_stand_in_its_camera():
    person = Model(lifter()).predict_joints2d(joints("mpii16")[:1], "mpii16", size=(100, 200))[0]
    assert person.camera.size == (200, 100)
    np.testing.assert_allclose(person.joints3d[0], person.translation, atol=1e-6)
    assert (person.joints3d[:, 2] > 0).all()
    assert person.reprojection_error > 0


@pytest.mark.parametrize("frame", [InputFrame.IMAGE, InputFrame.RAY])
def test_runs_that_need_the_camera_say_so(frame):
    model, found = Model(lifter(frame)), joints("mpii16")
    with pytest.raises(UserError, match=rf"`input_frame={frame.value}`.*size=\(height, width\)"):
        model.predict_joints2d(found, "mpii16")
    people = model.predict_joints2d(found, "mpii16", size=(300, 400))
    centred = found - (199.5, 149.5)
    shown = centred / 500 if frame is InputFrame.RAY else centred
    expected = np.asarray(model.system.infer(shown.astype(np.float32))["joints3d"])
    np.testing.assert_allclose(people[1].joints3d - people[1].translation, expected[1], atol=1e-4)


@pytest.mark.parametrize("lost", ["nan", "confidence"])
def test_a_joint_that_was_not_found_leaves_the_others_as_they_are(lost):
    """Wherever a detector puts it."""
    model = Model(lifter())
    found = joints("mpii16", 1)
    wrist = skeletons.MPII16.index("right_wrist")
    confidence = np.ones((1, 16))
    lifted = []
    for place in ((50.0, 60.0), (-4000.0, 9000.0)):
        found[0, wrist] = np.nan if lost == "nan" else place
        confidence[0, wrist] = 1 if lost == "nan" else 0.01
        lifted.append(model.predict_joints2d(found, "mpii16", confidence=confidence)[0].joints3d)
    np.testing.assert_array_equal(*lifted)
    assert np.isfinite(lifted[0]).all()
    nobody = model.predict_joints2d(np.full((16, 2), np.nan), "mpii16", size=(100, 100))[0]
    assert np.isfinite(nobody.joints3d).all()
    assert nobody.translation is None


def test_wrong_joints():
    model = Model(lifter())
    with pytest.raises(
        ValueError, match=r"joints2d of mpii16 are \(N, 16, 2\). Received: shape=\(2, 14, 2\)"
    ):
        model.predict_joints2d(joints("lsp14"), "mpii16")
    with pytest.raises(ValueError, match="one number per joint"):
        model.predict_joints2d(joints("mpii16"), "mpii16", confidence=np.ones(16))
    with pytest.raises(UserError, match="lifter takes 2D joints, not pictures: call predict_joints2d"):
        model.predict(PICTURE)
    with pytest.raises(UserError, match="head_top of it cannot be told from coco17"):
        model.predict_joints2d(joints("coco17"), "coco17")
    assert model.predict_joints2d(np.zeros((0, 16, 2)), "mpii16") == []


# ---- the package -------------------------------------------------------------------------------------------


def test_the_package_is_imported_at_once_and_without_tensorflow():
    code = (
        "import time; start = time.perf_counter(); import hpe; took = time.perf_counter() - start; import sys; "
        "heavy = [n for n in ('tensorflow', 'keras', 'cv2', 'numba', 'numpy') if n in sys.modules]; "
        "print(took, heavy); sys.exit(bool(heavy))"
    )
    done = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(3)]
    assert {process.returncode for process in done} == {0}, done[0].stdout
    # The best of three: the machine may be busy.
    assert min(float(process.stdout.split()[0]) for process in done) < 0.2


def test_the_names_of_the_package_are_there():
    import hpe

    assert set(hpe.__all__) >= FACE
    for name in hpe.__all__:
        assert getattr(hpe, name) is not None
        assert name in dir(hpe)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hpe.nothing


# ---- joints of any detector to bodies ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def body_model():
    keras.utils.set_random_seed(0)
    config = MoveNetBodyConfig(lifter_size=16, lifter_blocks=1, compile_body=False)
    return Model(systems.get("movenet").build(config, ImageInput(img_size=64)))


def test_joints_of_any_detector_become_bodies_where_they_are_seen(body_model):
    found = joints("lsp14")
    people = body_model.predict_joints2d(found, "lsp14", size=(300, 400))
    for person, own in zip(people, found, strict=True):
        assert person.vertices.shape[1:] == (3,)
        assert person.body.pose.shape == (24, 3, 3)
        # Untrained, but the body fills the box of its joints.
        middle = person.joints2d.mean(axis=0)
        assert np.abs(middle - own.mean(axis=0)).max() < 60
    # Twice as large and elsewhere: the same pose.
    moved = body_model.predict_joints2d(2 * found + 31, "lsp14", size=(700, 900))
    for person, other in zip(people, moved, strict=True):
        np.testing.assert_allclose(person.body.pose, other.body.pose, atol=1e-3)
        np.testing.assert_allclose(2 * person.joints2d + 31, other.joints2d, atol=0.5)


def test_bodies_need_a_picture_and_a_joint(body_model):
    with pytest.raises(UserError, match="say the size of the picture"):
        body_model.predict_joints2d(joints("lsp14"), "lsp14")
    nobody = np.full((1, 14, 2), np.nan)
    with pytest.raises(UserError, match="of person 0 no joint was found"):
        body_model.predict_joints2d(nobody, "lsp14", size=(300, 400))
    assert body_model.predict_joints2d(np.zeros((0, 14, 2)), "lsp14", size=(300, 400)) == []


def test_bodies_are_fitted_to_what_is_found_and_to_masks(body_model):
    boxes, mask = BOXES[:2], np.zeros((2, 90, 160), bool)
    mask[:, 10:80, 20:50] = True
    plain = body_model.predict(PICTURE, boxes=boxes, refine=0)
    fitted, masked = (
        body_model.predict(PICTURE, boxes=boxes, refine=4, **more) for more in ({}, {"masks": mask})
    )
    vertices = [np.stack([person.vertices for person in people]) for people in (plain, fitted, masked)]
    assert all(np.abs(a - b).max() > 1e-3 for a, b in itertools.combinations(vertices, 2))
    with pytest.raises(ValueError, match="give boxes and refine"):
        body_model.predict(PICTURE, masks=mask)
    with pytest.raises(ValueError, match=r"masks are .* Received: shape=\(1, 90, 160\)"):
        body_model.predict(PICTURE, boxes=boxes, refine=4, masks=mask[:1])


def test_bodies_of_joints_are_fitted_to_them(body_model):
    found = joints("lsp14")[:1]
    plain, fitted = (
        body_model.predict_joints2d(found, "lsp14", size=(300, 400), refine=steps)[0] for steps in (0, 10)
    )
    off = [np.linalg.norm(person.joints2d[:14] - found[0], axis=-1).mean() for person in (plain, fitted)]
    assert off[1] < off[0]
