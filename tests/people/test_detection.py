"""Boxes are read from maps where they belong, overlapping ones once, and the packaged detector finds people."""

import json
import os
import pathlib

import cv2
import numpy as np
import pytest

from hpe.backends import graphs
from hpe.errors import UserError
from hpe.people import detection
from hpe.people.detection import Detections, RtmdetDetector, decode, letterbox, select

DATA = pathlib.Path(os.environ.get("HPE_DATA", "../shared/data"))


def empty_maps(height, width):
    return [
        [np.full((1, height // s, width // s, 1), -20.0), np.zeros((1, height // s, width // s, 4))]
        for s in (8, 16, 32)
    ]


def test_a_cell_stands_for_its_corner_and_distances_count_in_strides():
    maps = empty_maps(96, 128)
    maps[1][0][0, 2, 3] = 3.0
    maps[1][1][0, 2, 3] = (1, 2, 3, 4)
    corners, scores = decode(maps)
    assert scores.argmax() == 12 * 16 + 2 * 8 + 3
    np.testing.assert_allclose(scores.max(), 1 / (1 + np.exp(-3)), rtol=1e-6)
    # x = 3 * 16, y = 2 * 16
    np.testing.assert_allclose(corners[scores.argmax()], [48 - 16, 32 - 32, 48 + 48, 32 + 64])


def test_of_overlapping_boxes_the_surest_stays_and_all_are_clipped_to_the_picture():
    corners = np.float32(
        [[-9, 10, 40, 60], [0, 11, 41, 60], [50, 5, 90, 70], [50, 5, 50.2, 70], [np.nan] * 4]
    )
    scores = np.float32([0.8, 0.9, 0.5, 0.95, 0.99])
    found = select(corners, scores, size=(64, 80), threshold=0.4, overlap=0.5)
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    # Pixel centres at integers: a box from -0.5 to 63.5 begins at pixel 0 and is 64 high.
    np.testing.assert_allclose(found.boxes, [[0.5, 11.5, 41, 49], [50.5, 5.5, 29.5, 58.5]])
    assert len(select(corners, scores, size=(64, 80), threshold=0.999, overlap=0.5)) == 0


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (17, 900), (3000, 2000), (1, 1)])
def test_a_box_keeps_its_place_whatever_the_size_of_the_picture(height, width):
    canvas, scale = letterbox(np.zeros((height, width, 3), np.uint8))
    assert max(canvas.shape[:2]) == 320
    assert all(side % 32 == 0 for side in canvas.shape[:2])
    maps = empty_maps(*canvas.shape[:2])
    maps[0][0][0, 0, 0] = 9.0
    # The canvas's areas from 0 to its scaled sides are the whole picture.
    maps[0][1][0, 0, 0] = np.float32([0.5, 0.5, scale * width - 0.5, scale * height - 0.5]) / 8
    found = RtmdetDetector(infer=lambda _: maps)(np.zeros((height, width, 3), np.uint8))
    np.testing.assert_allclose(found.boxes, [[0, 0, width, height]], atol=0.02)


def test_an_image_of_another_form_is_refused():
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="Received"):
            RtmdetDetector(infer=lambda _: [])(image)
    with pytest.raises(ValueError, match="threshold=2"):
        RtmdetDetector(threshold=2, infer=lambda _: [])


def test_the_ready_graph_says_what_the_network_says(monkeypatch):
    image = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype(np.float32)
    ready = detection.packaged_network()(image)
    monkeypatch.setattr(graphs, "available", lambda: False)
    network = detection.packaged_network.__wrapped__()(image)
    for pair, other in zip(ready, network, strict=True):
        for found, expected in zip(pair, other, strict=True):
            np.testing.assert_allclose(found, np.asarray(expected), atol=1e-3)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the datasets of HPE_DATA")
def test_the_packaged_detector_finds_the_people_of_photographs():
    detector = RtmdetDetector()
    known = json.loads((DATA / "coco_subset/person_keypoints.json").read_text())
    found = total = right = shown = 0
    for picture in known["images"][:24]:
        image = cv2.imread(str(DATA / "coco_subset/images" / picture["file_name"]))
        if image is None:
            continue
        people = [a for a in known["annotations"] if a["image_id"] == picture["id"]]
        truth = [a["bbox"] for a in people if not a["iscrowd"] and a["bbox"][3] >= 0.25 * len(image)]
        seen = detector(np.ascontiguousarray(image[..., ::-1]))
        overlaps = np.array([[_overlap(box, other) for box in seen.boxes] for other in truth])
        total += len(truth)
        found += int((overlaps.max(axis=1, initial=0) >= 0.5).sum()) if len(truth) else 0
        large = seen.boxes[:, 3] >= 0.25 * len(image)
        best = [max((_overlap(box, a["bbox"]) for a in people), default=0) for box in seen.boxes[large]]
        shown += len(best)
        right += sum(overlap >= 0.5 for overlap in best)
    # Over all 69 pictures: recall 0.85 at precision 0.93.
    assert found / total > 0.75
    assert right / shown > 0.8


def _overlap(first, second):
    first, second = (np.float32([x, y, x + w, y + h]) for x, y, w, h in (first, second))
    return detection.intersection_over_union(first, second)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((1, 3, 8, 8), "its outputs are of no layout that is known"),
        ((1, 8, 8, 3), "does not take one picture"),
    ],
)
def test_an_onnx_file_of_another_layout_is_one_line(tmp_path, size, reason):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    from hpe.people.onnx_detection import OnnxDetector

    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size) for name in "ab"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["a"], ["b"])], "g", values[:1], values[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "a.onnx")
    with pytest.raises(UserError, match=rf"a\.onnx: {reason}") as error:
        OnnxDetector(tmp_path / "a.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the datasets of HPE_DATA")
@pytest.mark.parametrize("name", ["rtmdet_nano.onnx", "yolox_nano.onnx"])
def test_onnx_files_of_both_layouts_find_the_same_people(name):
    pytest.importorskip("onnxruntime")
    from hpe.people.onnx_detection import OnnxDetector

    image = cv2.imread(str(DATA / "samples/people/two_people.jpg"))[..., ::-1]
    packaged = RtmdetDetector()(np.ascontiguousarray(image))
    found = OnnxDetector(DATA / "detectors" / name)(np.ascontiguousarray(image))
    assert isinstance(found, Detections)
    assert len(packaged) == 2
    for box in packaged.boxes:
        assert max(_overlap(box, other) for other in found.boxes) > 0.8
