"""Detections of other programs: their fields, their joints, and what is none of them."""

import json

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats.detections import read_detections


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def triples(count, start=0):
    return (
        np.stack([np.arange(count) + start, np.arange(count) + 100, np.full(count, 0.5)], 1).ravel().tolist()
    )


@pytest.mark.parametrize(("count", "skeleton"), [(25, "openpose25"), (18, "openpose18")])
def test_openpose_writes_a_file_per_frame(tmp_path, count, skeleton):
    missing = triples(count)
    missing[3:6] = [0, 0, 0]
    for number, people in ((10, [triples(count), missing]), (9, [])):
        content = {
            "version": 1.3,
            "people": [{"pose_keypoints_2d": person, "face_keypoints_2d": []} for person in people],
        }
        write(tmp_path / f"film_{number}_keypoints.json", content)
    first, second = read_detections(tmp_path)
    assert (first.name, second.name) == ("film_9", "film_10")
    assert first.joints2d.shape == (0, 25, 2)
    assert second.skeleton == skeleton
    assert second.joints2d[0, 3].tolist() == [3, 103]
    assert np.isnan(second.joints2d[1, 1]).all()
    assert second.confidence[1].tolist() == [0.5, 0] + [0.5] * (count - 2)


@pytest.mark.parametrize(
    ("count", "skeleton", "kept"), [(17, "coco17", 17), (26, "halpe26", 26), (136, "halpe26", 26)]
)
def test_alphapose_writes_a_list_of_people(tmp_path, count, skeleton, kept):
    people = [
        {"image_id": name, "keypoints": triples(count, start), "score": 2.1}
        for name, start in (("a.jpg", 0), ("b.jpg", 1), ("a.jpg", 2))
    ]
    first, second = read_detections(write(tmp_path / "alphapose-results.json", people))
    assert (first.name, second.name, first.skeleton) == ("a.jpg", "b.jpg", skeleton)
    assert first.joints2d.shape == (2, kept, 2)
    assert first.joints2d[1, 0].tolist() == [2, 100]


def test_mediapipe_writes_shares_of_the_picture(tmp_path):
    person = [{"x": 0.25, "y": 0.5, "z": 0.0, "visibility": 0.9} for _ in range(33)]
    path = write(
        tmp_path / "a.json", [{"pose_landmarks": [person], "image": "a.jpg"}, {"pose_landmarks": []}]
    )
    first, second = read_detections(path, size=(100, 200))
    assert (first.name, first.skeleton, second.joints2d.shape) == ("a.jpg", "blazepose33", (0, 33, 2))
    np.testing.assert_allclose(first.joints2d[0, 7], [49.5, 49.5])
    write(path, {"landmarks": person, "height": 10, "width": 20})
    np.testing.assert_allclose(read_detections(path)[0].joints2d[0, 0], [4.5, 4.5])
    write(path, {"landmarks": person})
    with pytest.raises(UserError, match="shares of a picture whose size is not known"):
        read_detections(path)


@pytest.mark.parametrize(
    "content",
    [
        {},
        3,
        {"people": 3},
        {"people": [3]},
        {"people": [{"pose_keypoints_2d": [1, 2]}]},
        {"people": [{"pose_keypoints_2d": None}]},
        [{"keypoints": "a"}],
        [{"keypoints": [1, 2, 3]}],
        [{"landmarks": [3]}],
        {"landmarks": [{"x": 1}]},
    ],
)
def test_anything_else_is_told_in_one_line(tmp_path, content):
    path = write(tmp_path / "a.json", content)
    with pytest.raises(
        UserError, match=r"a\.json: holds no detections of OpenPose, AlphaPose or MediaPipe"
    ) as caught:
        read_detections(path, size=(10, 10))
    assert "\n" not in str(caught.value)


def test_one_odd_frame_or_person_among_many_is_left_out_and_named(tmp_path):
    for number in range(3):
        write(tmp_path / f"film_{number}_keypoints.json", {"people": [{"pose_keypoints_2d": triples(25)}]})
    (tmp_path / "film_1_keypoints.json").write_text('{"people": [{"pose_key')
    with pytest.warns(UserWarning, match=r"1 x left out: .*film_1_keypoints\.json: is no valid JSON"):
        assert [frame.name for frame in read_detections(tmp_path)] == ["film_0", "film_2"]
    people = [{"image_id": name, "keypoints": triples(17)} for name in ("a", "b")]
    people += [{"image_id": "c", "keypoints": triples(26)}, {"image_id": "a", "keypoints": None}, 3]
    with pytest.warns(UserWarning, match=r"3 x left out: a\.json entry 3 .* a\.json entry 4 .* of 26 joints"):
        frames = read_detections(write(tmp_path / "a.json", people))
    assert [(frame.name, len(frame.joints2d)) for frame in frames] == [("a", 1), ("b", 1), ("c", 0)]
