"""LSP and LSP-extended: pairing by number, meaning of the flags, and everything that can be wrong."""

import re

import cv2
import numpy as np
import pytest
import scipy.io

from hpe.datasets import lsp
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError


def read_lsp(folder, split=lsp.Split.TRAIN, masks=True, **options):
    mask_dir = folder.masks if masks else None
    source = lsp.lsp(folder.root / "joints.mat", folder.root / "images", mask_dir, split=split, **options)
    return source, {result.name: result for result in map(source.load, source.items)}


def read_extended(folder, **options):
    source = lsp.lsp_extended(folder.root / "joints.mat", folder.root / "images", folder.masks, **options)
    return source, {result.name: result for result in map(source.load, source.items)}


def test_first_half_is_for_training(lsp_folder):
    source, results = read_lsp(lsp_folder)
    assert source.name == "lsp_train"
    assert list(results) == [f"im{number:04d}.jpg" for number in range(1, 1001)]
    kept = [name for name, result in results.items() if isinstance(result, Sample)]
    assert kept == ["im0001.jpg", "im0002.jpg", "im0003.jpg", "im0004.jpg"]
    assert results["im0005.jpg"] == Skipped("im0005.jpg", "image is missing")


def test_second_half_is_for_validation(lsp_folder):
    source, results = read_lsp(lsp_folder, lsp.Split.VAL)
    assert source.name == "lsp_val"
    assert list(results) == [f"im{number:04d}.jpg" for number in range(1001, 2001)]
    np.testing.assert_allclose(results["im1001.jpg"].joints2d, lsp_folder.joints[1000, :, :2], rtol=1e-6)


def test_flag_of_lsp_means_occluded(lsp_folder):
    _, results = read_lsp(lsp_folder)
    for number in (1, 2, 3, 4):
        sample, truth = results[f"im{number:04d}.jpg"], lsp_folder.joints[number - 1]
        np.testing.assert_array_equal(sample.visibility, 1 - truth[:, 2])
        # Occluded joints are labelled: their coordinates stay.
        np.testing.assert_allclose(sample.joints2d, truth[:, :2], rtol=1e-6)
        visible = truth[truth[:, 2] == 0, :2]
        np.testing.assert_allclose(sample.center, (visible.min(0) + visible.max(0)) / 2, rtol=1e-6)
        assert sample.scale is None


def test_flag_of_lsp_extended_means_labelled_and_garbage_stays_out(lsp_extended_folder):
    _, results = read_extended(lsp_extended_folder)
    for number in (3, 10000):
        sample, truth = results[f"im{number:05d}.jpg"], lsp_extended_folder.joints[number - 1]
        labelled = truth[:, 2] == 1
        assert 0 < labelled.sum() < 14
        np.testing.assert_array_equal(sample.visibility, labelled)
        np.testing.assert_allclose(sample.joints2d[labelled], truth[labelled, :2], rtol=1e-6)
        np.testing.assert_array_equal(sample.joints2d[~labelled], 0)
        assert (sample.center >= 5).all()


def test_lsp_extended_reports_what_it_skips(lsp_extended_folder):
    source, results = read_extended(lsp_extended_folder)
    assert (source.name, len(results)) == ("lsp_ext", 10000)
    assert results["im00001.jpg"].reason == "image is missing"
    assert results["im00004.jpg"].reason == "no visible joint"
    assert sum(isinstance(result, Sample) for result in results.values()) == 2


def test_images_keep_their_bytes_and_masks_become_one_channel(lsp_folder):
    _, results = read_lsp(lsp_folder)
    sample = results["im0001.jpg"]
    assert sample.image == (lsp_folder.root / "images" / "im0001.jpg").read_bytes()
    assert (sample.height, sample.width) == (41, 36)
    mask = cv2.imdecode(np.frombuffer(sample.mask, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((41, 36), np.uint8)
    expected[2:-2, 3:-3] = 255
    np.testing.assert_array_equal(mask, expected)
    assert results["im0003.jpg"].mask is None
    assert results["im0003.jpg"].notes == ()


def test_masks_are_optional(lsp_folder):
    _, results = read_lsp(lsp_folder, masks=False)
    assert results["im0001.jpg"].mask is None


def test_only_segmented_leaves_out_the_others(lsp_folder):
    _, results = read_lsp(lsp_folder, only_segmented=True)
    assert isinstance(results["im0001.jpg"], Sample)
    assert results["im0003.jpg"] == Skipped("im0003.jpg", "no segmentation")


def test_mask_of_another_size_is_left_out_and_noted(lsp_folder, write_mask):
    write_mask(lsp_folder.masks / "im0002_segmentation.png", 42, 35)
    reason = "segmentation has another size than its image"
    sample = read_lsp(lsp_folder)[1]["im0002.jpg"]
    assert sample.mask is None
    assert sample.notes == (f"{reason}: left out",)
    skipped = read_lsp(lsp_folder, only_segmented=True)[1]["im0002.jpg"]
    assert skipped == Skipped("im0002.jpg", reason)


def test_damaged_and_empty_masks_are_left_out_and_noted(lsp_folder):
    path = lsp_folder.masks / "im0001_segmentation.png"
    path.write_bytes(path.read_bytes()[:40])
    cv2.imwrite(str(lsp_folder.masks / "im0002_segmentation.png"), np.zeros((42, 36), np.uint8))
    _, results = read_lsp(lsp_folder)
    assert results["im0001.jpg"].notes == ("segmentation is truncated: left out",)
    assert results["im0002.jpg"].notes == ("segmentation is empty: left out",)


def test_image_that_does_not_decode_is_skipped(lsp_folder):
    path = lsp_folder.root / "images" / "im0002.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    (lsp_folder.root / "images" / "im0003.jpg").write_bytes(b"this is a text")
    _, results = read_lsp(lsp_folder)
    assert results["im0002.jpg"] == Skipped("im0002.jpg", "image is truncated")
    assert results["im0003.jpg"] == Skipped(
        "im0003.jpg", "image is none of JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC"
    )
    assert isinstance(results["im0004.jpg"], Sample)


def test_other_files_in_the_folders_do_no_harm(lsp_folder):
    (lsp_folder.root / "images" / "im0001 copy.jpg").write_bytes(b"")
    (lsp_folder.root / "images" / "notes.txt").write_bytes(b"")
    (lsp_folder.masks / "im0001_part_segmentation.png").write_bytes(b"")
    assert isinstance(read_lsp(lsp_folder, only_segmented=True)[1]["im0001.jpg"], Sample)


def test_exchanged_directories_are_recognised(lsp_folder, lsp_extended_folder):
    with pytest.raises(UserError, match=r"Received: 14x3x10000 .* are the two directories exchanged"):
        read_lsp(lsp_extended_folder)
    with pytest.raises(UserError, match=r"Received: 3x14x2000 .* are the two directories exchanged"):
        read_extended(lsp_folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"joints": np.zeros((3, 14, 1999))}, "`joints` must be 3x14x2000 numbers. Received: 3x14x1999"),
        ({"joints": np.zeros((14, 3))}, "`joints` must be 3x14x2000 numbers. Received: 14x3"),
        ({"joints": "text"}, "`joints` must be 3x14x2000 numbers"),
        ({"points": np.zeros((3, 14, 2000))}, "holds no variable `joints`"),
    ],
)
def test_joints_of_another_shape(lsp_folder, content, message):
    path = lsp_folder.root / "joints.mat"
    scipy.io.savemat(path, content)
    with pytest.raises(UserError, match=f"{re.escape(str(path))}: {message}"):
        read_lsp(lsp_folder)


@pytest.mark.parametrize("content", [b"", b"this is a text" * 20, None])
def test_joints_that_cannot_be_read(lsp_folder, content):
    path = lsp_folder.root / "joints.mat"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}: .*3x14x2000") as error:
        read_lsp(lsp_folder)
    assert "\n" not in str(error.value)


def test_folder_without_images(lsp_folder):
    for path in (lsp_folder.root / "images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"images: holds no image im0001\.jpg to im1000\.jpg"):
        read_lsp(lsp_folder)


@pytest.mark.data
def test_the_real_lsp(data_dir):
    root = data_dir / "lsp_dataset"
    masks = data_dir / "upi-s1h" / "data" / "lsp"
    for split, images in ((lsp.Split.TRAIN, range(1, 1001)), (lsp.Split.VAL, range(1001, 2001))):
        source = lsp.lsp(root / "joints.mat", root / "images", masks, split=split)
        results = list(map(source.load, source.items))
        assert [result.name for result in results] == [f"im{number:04d}.jpg" for number in images]
        assert all(isinstance(result, Sample) and not result.notes for result in results)
        assert sum(result.mask is not None for result in results) == 927
        assert 0.9 < np.mean([result.visibility.mean() for result in results]) < 0.95


@pytest.mark.data
def test_the_real_lsp_extended(data_dir):
    root = data_dir / "lspet_dataset"
    masks = data_dir / "upi-s1h" / "data" / "lsp_extended"
    source = lsp.lsp_extended(root / "joints.mat", root / "images", masks)
    # Every twentieth person keeps the test short; numbers ending in 0 are among the images left out.
    results = [source.load(item) for item in source.items[::20]] + [source.load(source.items[2])]
    assert all(result.reason == "image is missing" for result in results[:-1])
    people = [item for item in source.items if item.image is not None]
    assert len(people) == 7000
    assert sum(item.mask is not None for item in people) == 5623
    samples = [source.load(item) for item in people[::35]]
    assert all(isinstance(sample, Sample) for sample in samples)
    assert 0.83 < np.mean([sample.visibility.mean() for sample in samples]) < 0.93
    for sample in samples:
        assert not sample.joints2d[sample.visibility == 0].any()


def test_in_the_original_size_boxes_come_from_the_joints(lsp_folder):
    path = lsp_folder.root / "joints.mat"
    joints = scipy.io.loadmat(path)["joints"]
    _, small = read_lsp(lsp_folder)
    joints[:2] *= 500 / np.median(np.ptp(joints[:2], axis=1).max(axis=0))
    scipy.io.savemat(path, {"joints": joints})
    source = lsp.lsp(path, lsp_folder.root / "images", split=lsp.Split.TRAIN)
    for person in source.items:
        span = np.ptp(person.joints2d, axis=0).max()
        assert 1.1 < person.scale / span < 1.2
    assert all(getattr(sample, "scale", None) is None for sample in small.values())
