import numpy as np
import pytest

from hpe.evaluation.silhouettes import SilhouetteAccumulator, silhouette_iou


def test_iou_of_hand_computed_cases():
    predicted = np.zeros((3, 4, 4), np.uint8)
    target = np.zeros((3, 4, 4), np.uint8)
    predicted[0, :2] = 1
    target[0, 1:3] = 255  # 4 of 12 pixels
    predicted[1, 0, 0] = 1  # nothing in common
    iou = silhouette_iou(predicted, target)
    assert iou[:2] == pytest.approx([1 / 3, 0])
    assert np.isnan(iou[2])
    assert silhouette_iou(predicted[0], target[0]) == pytest.approx(1 / 3)


def test_accuracy_and_f1_are_over_all_pixels_of_all_images():
    small_predicted = np.array([[1, 1], [0, 0]])
    small_target = np.array([[1, 0], [1, 0]])  # one of each kind
    large_predicted = np.ones((2, 4))
    large_target = np.ones((2, 4))
    accumulator = SilhouetteAccumulator()
    accumulator.add(small_predicted, small_target)
    accumulator.add(large_predicted[None], large_target[None])
    assert accumulator.accuracy == pytest.approx(10 / 12)
    # person: TP 9, FP 1, FN 1; background: TP 1, FP 1, FN 1
    assert accumulator.f1 == pytest.approx((18 / 20 + 2 / 4) / 2)


def test_agrees_with_a_confusion_matrix():
    rng = np.random.default_rng(0)
    predicted, target = rng.random((2, 5, 16, 12)) > 0.6
    accumulator = SilhouetteAccumulator()
    for pair in zip(predicted, target, strict=True):
        accumulator.add(*pair)
    confusion = np.zeros((2, 2))
    np.add.at(confusion, (target.ravel().astype(int), predicted.ravel().astype(int)), 1)
    f1 = 2 * np.diag(confusion) / (confusion.sum(0) + confusion.sum(1))
    assert accumulator.accuracy == pytest.approx(np.trace(confusion) / confusion.sum())
    assert accumulator.f1 == pytest.approx(f1.mean())


def test_nothing_counted_is_not_a_number():
    assert np.isnan(SilhouetteAccumulator().accuracy)
    assert np.isnan(SilhouetteAccumulator().f1)


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        silhouette_iou(np.zeros((4, 4)), np.zeros((4, 5)))
