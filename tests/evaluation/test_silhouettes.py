"""Silhouettes of pictures and crops against confusion matrices and hand-computed cases."""

import cv2
import numpy as np
import pytest

from hpe.datasets import lsp
from hpe.evaluation import judge, registry
from hpe.evaluation.judged import Judged
from hpe.evaluation.masks import overlaps
from hpe.fields import Needs
from hpe.pipeline import PipelineConfig
from hpe.pipeline.image_source import ImageSource
from hpe.records.reading import find_shards
from hpe.records.writing import write_dataset
from hpe.systems.prediction import Prediction
from hpe.visualization.rasterizer import render_mask, weak_perspective_camera
from tests.evaluation.judged import Predictor

SIZE = 32
# A square of 0.8 m, facing the camera.
SQUARE = np.float32([[-0.4, -0.4, 0], [0.4, -0.4, 0], [0.4, 0.4, 0], [-0.4, 0.4, 0]])
FACES = np.int32([[0, 1, 2], [0, 2, 3]])


def judged(masks, cameras, *, image_to_crop=None, crops=None):
    """Returns squares before true masks of whole pictures (H, W); crops are half of the picture's first pixels."""
    count = len(masks)
    half = np.float32([[2, 0, 0], [0, 2, 0]])
    batch = {
        "name": np.zeros(count, "S1"),
        "silhouette": np.zeros((count, SIZE, SIZE), np.uint8) if crops is None else crops,
        "silhouette_weight": np.array([len(mask) > 0 for mask in masks], np.float32),
        "silhouette_file": np.array([encoded(mask) for mask in masks], object),
        "image_to_crop": np.stack([half if image_to_crop is None else image_to_crop] * count),
    }
    prediction = Prediction(
        "lsp14",
        np.zeros((count, 14, 2)),
        camera=np.float32(cameras),
        vertices=np.stack([SQUARE] * count),
        faces=FACES,
    )
    return Judged(batch, prediction, None, "lsp14", "lsp14", size=SIZE)


def encoded(mask):
    return cv2.imencode(".png", 255 * mask.astype(np.uint8))[1].tobytes() if len(mask) else b""


def values(*parts):
    found = {}
    for place in ("picture", "crop"):
        for family in ("accuracy", "f1", "iou"):
            measure = registry.measure(f"silhouette_{family}@{place}")
            for part in parts:
                measure.add(part)
            found[f"{family}@{place}"] = measure.value(np.nansum(measure.rows(), axis=0))
    return found


def test_pixels_of_hand_computed_cases():
    predicted, target = np.zeros((2, 4, 4), bool)
    predicted[:2] = True
    target[1:3] = True
    np.testing.assert_array_equal(overlaps(predicted, target), [4, 4, 4, 4])
    assert np.isnan(overlaps(predicted, np.zeros((4, 4), bool))).all()


def test_the_picture_counts_and_not_the_crop():
    """A predictor that sees nobody has 1 - share of the person in the picture, however wide the crop is."""
    person = np.zeros((40, 20), bool)
    person[10:30, 5:15] = True
    nobody = judged([person], [[1e-3, 9e3, 0]])
    assert values(nobody)["accuracy@picture"] == pytest.approx(1 - person.mean(), abs=1e-3)


def test_a_mesh_lies_in_the_picture_where_it_lies_in_the_crop():
    image_to_crop = np.float32([[0.5, 0, 3.25], [0, 0.5, -4.5]])
    camera = [0.9, 0.1, -0.2]
    # The middles of pixels of the picture, seen in the crop.
    in_crop = render_mask(SQUARE, FACES, weak_perspective_camera(camera, SIZE), (SIZE, SIZE))
    rows, columns = np.mgrid[:70, :60]
    x, y = 0.5 * columns + 3.25, 0.5 * rows - 4.5
    corners = (np.float32([SQUARE[0, :2], SQUARE[2, :2]]) + camera[1:]) * camera[0]
    (left, top), (right, bottom) = (corners + 1) * SIZE / 2
    person = (x > left) & (x < right) & (y > top) & (y < bottom)
    part = judged([person], [camera], image_to_crop=image_to_crop, crops=in_crop[None].astype(np.uint8))
    assert values(part) == pytest.approx(dict.fromkeys(values(part), 1.0))


def test_accuracy_and_f1_are_over_all_pixels_of_all_pictures_and_iou_is_a_mean_of_pictures():
    rng = np.random.default_rng(0)
    masks = [rng.random((16, 12)) > 0.6, rng.random((30, 20)) > 0.2, np.zeros(0), np.zeros((9, 9), bool)]
    cameras = [[0.5, 0.1, 0], [1.0, 0, 0.2], [1, 0, 0], [1, 0, 0]]
    found = values(judged(masks[:3], cameras[:3]), judged(masks[3:], cameras[3:]))
    confusion, overlap = np.zeros((2, 2)), []
    for mask, (s, tx, ty) in zip(masks[:2], cameras, strict=False):
        shape = mask.shape
        # Twice as large as the crop's, and its pixel (0, 0) is the crop's.
        view = weak_perspective_camera([s, tx, ty], SIZE)
        view = type(view)(view.fx / 2, view.fy / 2, view.cx / 2, view.cy / 2, perspective=False)
        predicted = render_mask(SQUARE, FACES, view, shape)
        np.add.at(confusion, (mask.ravel().astype(int), predicted.ravel().astype(int)), 1)
        overlap.append((mask & predicted).sum() / (mask | predicted).sum())
    assert found["accuracy@picture"] == pytest.approx(np.trace(confusion) / confusion.sum())
    f1 = 2 * np.diag(confusion) / (confusion.sum(0) + confusion.sum(1))
    assert found["f1@picture"] == pytest.approx(f1.mean())
    assert found["iou@picture"] == pytest.approx(np.mean(overlap))


def test_nothing_counted_is_not_a_number():
    assert np.isnan(list(values(judged([np.zeros(0)], [[1, 0, 0]])).values())).all()


@pytest.mark.data
def test_who_sees_nobody_is_as_accurate_as_pictures_are_empty(data_dir, tmp_path):
    """On pictures as they are stored: 0.77 over all of LSP. Of its crops 0.91 is right without an answer."""
    masks = data_dir / "upi-s1h" / "data" / "lsp"
    people = lsp.lsp(
        data_dir / "lsp_dataset/joints.mat", data_dir / "lsp_dataset/images", masks, split=lsp.Split.VAL
    )
    samples = list(map(people.load, people.items[:30]))
    write_dataset(samples, tmp_path, "lsp_val", skeleton="lsp14", progress=False)
    source = ImageSource(find_shards(tmp_path, ["lsp_val"]), PipelineConfig(img_size=64), Needs((), "lsp14"))
    answers = {"vertices": SQUARE[None], "camera": np.float32([[1e-3, 9e4, 0]]), "faces": FACES}
    predictor = Predictor(
        answers, key="image", metrics=("silhouette_accuracy@picture", "silhouette_accuracy@crop")
    )
    values = judge(predictor, source, batch_size=16, show_progress=False).values()
    files = [masks / sample.name.replace(".jpg", "_segmentation.png") for sample in samples if sample.mask]
    empty = np.concatenate([cv2.imread(str(file)).max(axis=2).ravel() == 0 for file in files])
    assert values["silhouette_accuracy@picture"] == pytest.approx(empty.mean(), abs=1e-6)
    assert values["silhouette_accuracy@crop"] > empty.mean() + 0.1
