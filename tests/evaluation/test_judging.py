"""Judging: one loop for every system, one meaning for every name, truth in the joint set of the dataset."""

import cv2
import numpy as np
import pytest

from hpe import skeletons
from hpe.datasets.sample import Sample
from hpe.errors import SettingError, UserError
from hpe.evaluation.feasibility import Comparison
from hpe.fields import Needs
from hpe.pipeline import PipelineConfig
from hpe.pipeline.image_source import ImageSource
from hpe.records.reading import find_shards
from hpe.records.writing import write_dataset
from hpe.skeletons import COCO17, H36M17, LSP14
from tests.evaluation.judged import Predictor, Source, judged

RNG = np.random.default_rng(0)
COUNT = 7
# Root-centred poses of h36m17, metres.
POSES = RNG.normal(scale=0.3, size=(COUNT, 17, 3)).astype(np.float32)
POSES -= POSES[:, :1]


def poses_source(**fields):
    given = {
        "joints2d": np.zeros((COUNT, 17, 2), np.float32),
        "joints3d": POSES,
        "joints3d_weight": np.ones((COUNT, 17), np.float32),
    }
    return Source(given | fields, unit="pose", skeleton2d="h36m17")


def lifter(
    poses, *, metrics=("mpjpe@h36m17", "pa_mpjpe@h36m17", "n_mpjpe@h36m17"), skeleton="h36m17", **options
):
    return Predictor({"joints3d": poses}, skeleton=skeleton, metrics=metrics, **options)


def test_errors_of_known_size():
    moved = 1.1 * POSES + np.float32([0.2, -0.1, 3.0])
    values = judged(lifter(moved), poses_source()).values()
    assert values["poses"] == COUNT
    expected = 100 * np.linalg.norm(POSES, axis=-1).mean()
    assert values["mpjpe@h36m17"] == pytest.approx(expected, rel=1e-4)
    assert values["pa_mpjpe@h36m17"] == pytest.approx(0, abs=1e-3)
    assert values["n_mpjpe@h36m17"] == pytest.approx(0, abs=1e-3)


def test_one_name_means_one_thing_whatever_the_system():
    """Once `mpjpe` was that of 17 joints from the pelvis for one system, of 14 from the hips for another."""
    noisy = POSES + RNG.normal(scale=0.05, size=POSES.shape).astype(np.float32)
    names = ("mpjpe@h36m17", "mpjpe@lsp14")
    as_lifter = judged(lifter(noisy, metrics=names), poses_source()).values()
    to_lsp = skeletons.convert(H36M17, LSP14)
    in_lsp = Predictor(
        {"joints2d": np.zeros((COUNT, 14, 2)), "joints3d": to_lsp.coordinates(noisy)},
        metrics=("mpjpe@lsp14",),
    )
    as_mesh = judged(in_lsp, poses_source()).values()
    assert as_lifter["mpjpe@lsp14"] == pytest.approx(as_mesh["mpjpe@lsp14"], rel=1e-6)
    assert abs(as_lifter["mpjpe@h36m17"] - as_lifter["mpjpe@lsp14"]) > 1
    hips = [[LSP14.index("left_hip"), LSP14.index("right_hip")]]
    rooted = [
        pose - pose[:, hips[0]].mean(axis=1, keepdims=True)
        for pose in map(to_lsp.coordinates, (noisy, POSES))
    ]
    expected = 1000 * np.linalg.norm(rooted[0] - rooted[1], axis=-1).mean()
    assert as_lifter["mpjpe@lsp14"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("detector", ["mpii16", "lsp14", "coco17"])
def test_3d_truth_does_not_go_through_the_2d_joints_of_the_predictor(detector):
    """Two joints a metre off were 247 mm behind one detector and 0 mm, of 12 joints, behind another."""
    wrong = POSES.copy()
    wrong[:, [H36M17.index("head_top"), H36M17.index("thorax")]] += 1.0
    names = ("mpjpe@h36m17", "mpjpe@lsp14")
    predictor = lifter(wrong, metrics=names, skeleton=detector, skeleton3d="h36m17")
    values = judged(predictor, poses_source()).values()
    assert values["mpjpe@h36m17"] == pytest.approx(2000 * 3**0.5 / 17, rel=1e-4)
    assert values["mpjpe@lsp14"] == pytest.approx(2000 * 3**0.5 / 14, rel=1e-4)


def test_a_prediction_that_lacks_joints_of_the_protocol_is_not_measured():
    faceless = skeletons.convert(H36M17, COCO17, missing=True).coordinates(POSES)
    predictor = lifter(faceless, metrics=("mpjpe@lsp14",), skeleton="coco17")
    result = judged(predictor, Source(poses_source().fields, skeleton2d="h36m17"))
    assert result.metrics[1].reason == "coco17 lacks neck, head_top"
    assert not result.values().keys() - {"images"}


def test_only_the_protocol_of_hmr_lets_other_points_stand_in():
    predictor = Predictor(
        {"joints3d": skeletons.convert(H36M17, LSP14).coordinates(POSES)},
        metrics=("mpjpe@lsp14", "mpjpe@h36m17"),
    )
    result = judged(predictor, poses_source())
    assert result.values()["mpjpe@lsp14"] == pytest.approx(0, abs=1e-3)
    assert "lsp14 lacks pelvis, spine, thorax, nose, head_top" in result.find("mpjpe@h36m17").reason


def test_means_over_actions_and_every_action():
    actions = np.array([b"Walking", b"Walking", b"Eating", b"", b"Eating", b"Eating", b"Walking"])
    moved = POSES.copy()
    # Away from the root by as many millimetres as the sample's number.
    moved[:, 1:, 2] += np.arange(COUNT)[:, None] * 0.017 / 16
    result = judged(lifter(moved), poses_source(action=actions), batch_size=4)
    values = result.values()
    assert values["mpjpe@h36m17/Walking"] == pytest.approx(7 / 3, rel=1e-3)
    assert values["mpjpe@h36m17/Eating"] == pytest.approx(11 / 3, rel=1e-3)
    assert values["mpjpe_actions@h36m17"] == pytest.approx(3, rel=1e-3)
    assert values["mpjpe@h36m17"] == pytest.approx(3, rel=1e-3)
    assert result.find("mpjpe_actions").count == 6
    assert [metric.name for metric in result.metrics if not metric.group][1:3] == [
        "mpjpe@h36m17",
        "mpjpe_actions@h36m17",
    ]


def test_results_of_several_datasets_and_of_sequences():
    source = poses_source(sequence=np.array([b"a", b"a", b"a", b"b", b"b", b"b", b"b"]))
    source.shards = Source(source.fields, datasets=[("one", 3), ("two", 4)]).shards
    moved = POSES + np.where(np.arange(COUNT) < 3, 0.0, 0.01)[:, None, None].astype(np.float32)
    moved[:, 0] = 0
    values = judged(lifter(moved), source).values()
    assert values["mpjpe@h36m17/dataset=one"] == pytest.approx(0, abs=1e-3)
    assert values["mpjpe@h36m17/dataset=two"] == values["mpjpe@h36m17/sequence=b"] > 1


def test_batches_change_nothing_and_samples_are_columns():
    noisy = POSES + RNG.normal(scale=0.05, size=POSES.shape).astype(np.float32)
    results = [judged(lifter(noisy), poses_source(), batch_size=size) for size in (1, 3, 7, 10)]
    column = results[0].samples["mpjpe@h36m17"]
    for result in results[1:]:
        np.testing.assert_allclose(result.samples["mpjpe@h36m17"], column, rtol=1e-12)
        assert result.values() == pytest.approx(results[0].values(), rel=1e-12)
    assert results[0].values()["mpjpe@h36m17"] == pytest.approx(np.mean(column))
    metric, order = results[0].ranking()
    assert metric == "mpjpe@h36m17"
    assert list(order) == list(np.argsort(column))
    assert results[0].names[order[0]] == b"sample_%d" % order[0]


def test_unknown_joints_do_not_count_and_samples_without_a_root_are_left_out():
    weights = np.ones((COUNT, 17), np.float32)
    weights[0, 3] = 0  # an ankle
    weights[1, 0] = 0  # the pelvis
    moved = POSES.copy()
    moved[0, 3] += 1.0
    metric = judged(lifter(moved), poses_source(joints3d_weight=weights)).find("mpjpe@h36m17")
    assert metric.value == pytest.approx(0, abs=1e-4)
    assert metric.count == COUNT - 1


def test_frames_without_3d_joints_are_an_error():
    with pytest.raises(SettingError, match="no frame has 3D joints"):
        judged(lifter(POSES), poses_source(joints3d_weight=np.zeros((COUNT, 17), np.float32)))


def test_a_prediction_that_is_not_finite_is_an_error():
    broken = POSES.copy()
    broken[4, 2, 1] = np.nan
    with pytest.raises(UserError, match=r"^sample_4: its prediction is not finite"):
        judged(lifter(broken), poses_source())


def test_what_is_asked_for_and_cannot_be_measured_says_why():
    source = Source({"joints2d": np.zeros((COUNT, 14, 2)), "joints2d_weight": np.ones((COUNT, 14))})
    predictor = Predictor({"joints2d": np.zeros((COUNT, 14, 2)), "joints3d": np.zeros((COUNT, 14, 3))})
    result = judged(predictor, source, metrics=["keypoint_loss@lsp14", "mpjpe@lsp14"])
    assert result.find("mpjpe").reason == "no image has joints3d"
    assert result.values()["keypoint_loss@lsp14"] == 0
    with pytest.raises(ValueError, match=r"'mpjpe' is no metric; there are .*mpjpe@lsp14"):
        judged(predictor, source, metrics=["mpjpe"])


def test_mocap_that_was_not_given_is_said():
    predictor = Predictor(
        {"joints3d": np.zeros((COUNT, 17, 3)), "pose": np.zeros((COUNT, 24, 3, 3))},
        skeleton="h36m17",
        metrics=("nearest_mocap_pose@mocap", "limb_asymmetry@body", "mpjpe@h36m17"),
    )
    result = judged(predictor, poses_source())
    assert result.find("nearest_mocap_pose").reason == Comparison().reason


def test_what_looks_on_sees_every_prediction_once():
    class Looking(list):
        def add(self, judged):
            self.extend(judged.prediction.joints3d[:, 1, 0])

    seen = Looking()
    judged(lifter(POSES), poses_source(), also=[seen])
    np.testing.assert_array_equal(seen, POSES[:, 1, 0])


def test_records_of_pictures_are_judged_in_their_own_joint_sets_and_by_action(tmp_path):
    """2D joints of COCO's set beside 3D joints of Human3.6M's: once the 3D truth came in the 2D joints' set."""
    picture = cv2.imencode(".png", np.zeros((40, 40, 3), np.uint8))[1].tobytes()
    actions = ["Walking", "Eating", "Walking"]
    samples = [
        Sample(
            f"{row}.png",
            picture,
            40,
            40,
            "coco17",
            RNG.uniform(0, 40, (17, 2)).astype(np.float32),
            np.ones(17, np.float32),
            np.float32([20, 20]),
            scale=40.0,
            skeleton3d="h36m17",
            joints3d=POSES[row],
            action=action,
        )
        for row, action in enumerate(actions)
    ]
    write_dataset(samples, tmp_path, "studio", skeleton="coco17", progress=False)
    source = ImageSource(
        find_shards(tmp_path, ["studio"]), PipelineConfig(img_size=32), Needs(("image",), "coco17")
    )
    wrong = POSES[:3].copy()
    wrong[:, H36M17.index("thorax")] += 1.0
    predictor = Predictor(
        {"joints2d": np.zeros((3, 17, 2)), "joints3d": wrong},
        key="image",
        skeleton="coco17",
        skeleton3d="h36m17",
        metrics=("mpjpe@h36m17", "pck0.2torso"),
    )
    result = judged(predictor, source, batch_size=2)
    assert result.values()["mpjpe@h36m17"] == pytest.approx(1000 * 3**0.5 / 17, rel=1e-4)
    assert result.find("mpjpe@h36m17/Walking").count == 2
    assert result.find("mpjpe_actions").count == 3
    assert result.find("pck0.2torso@coco17").count == 3
