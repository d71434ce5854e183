"""MPII in UP's layout: columns and images, the meaning of the flag, and the size of people."""

import dataclasses
import pathlib

import numpy as np
import pytest
import scipy.io

from hpe import skeletons
from hpe.datasets import mpii
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError


@dataclasses.dataclass(frozen=True)
class Folder:
    root: pathlib.Path
    poses: np.ndarray


@pytest.fixture
def folder(tmp_path, write_image, write_mask) -> Folder:
    """Five people, of whom the third has no image; most flags are 1."""
    rng = np.random.default_rng(0)
    poses = np.concatenate([rng.uniform(5, 60, (2, 16, 5)), rng.uniform(size=(1, 16, 5)) < 0.8])
    poses[:2, 4, 0] = 0  # unlabelled
    poses[2, 0] = 1
    for number in (1, 2, 4, 5):
        write_image(tmp_path / "images" / f"{number:05d}.png", 70, 64)
    write_mask(tmp_path / "images" / "00001_segmentation.png", 70, 64)
    write_mask(tmp_path / "00002_segmentation.png", 70, 64)
    np.savez(tmp_path / "poses.npz", poses=poses)
    return Folder(tmp_path, poses)


def read(folder, **options):
    source = mpii.mpii(folder.root, **options)
    return source, list(map(source.load, source.items))


def test_column_n_belongs_to_image_n_plus_one(folder):
    source, results = read(folder)
    assert (source.name, source.skeleton) == ("mpii", "mpii16")
    assert [result.name for result in results] == [f"{number:05d}.png" for number in range(1, 6)]
    assert results[2] == Skipped("00003.png", "image is missing")
    np.testing.assert_allclose(results[3].joints2d, folder.poses[:2, :, 3].T, rtol=1e-6)
    assert [getattr(result, "mask", None) is not None for result in results] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_numbers_may_start_at_zero(folder, write_image):
    write_image(folder.root / "images" / "00000.png", 70, 64)
    (folder.root / "images" / "00005.png").unlink()
    _, results = read(folder)
    np.testing.assert_allclose(results[1].joints2d, folder.poses[:2, :, 1].T, rtol=1e-6)
    assert results[1].name == "00001.png"


def test_more_frequent_flag_means_visible(folder):
    _, results = read(folder)
    expected = folder.poses[2, :, 0].copy()
    expected[4] = 0
    np.testing.assert_array_equal(results[0].visibility, expected)
    flipped = folder.poses.copy()
    flipped[2] = 1 - flipped[2]
    np.savez(folder.root / "poses.npz", poses=flipped)
    source, results = read(folder)
    np.testing.assert_array_equal(results[0].visibility, expected)
    assert source.options["flag"] == "occluded"


def test_meaning_of_the_flag_can_be_given(folder):
    _, results = read(folder, flag=mpii.FlagMeaning.OCCLUDED)
    np.testing.assert_array_equal(results[1].visibility, 1 - folder.poses[2, :, 1])


def test_only_segmented(folder):
    _, results = read(folder, only_segmented=True)
    assert [isinstance(result, Sample) for result in results] == [True, True, False, False, False]


def test_person_size_of_a_person_who_is_150_pixels_tall():
    index = skeletons.MPII16.index
    joints, visibility = np.zeros((16, 2)), np.zeros(16)
    for joint, place in (
        ("head_top", (50, 10)),
        ("right_hip", (50, 82)),
        ("right_shoulder", (50, 36)),
        ("right_ankle", (50, 160)),
    ):
        joints[index(joint)] = place
        visibility[index(joint)] = 1
    assert mpii.person_size(joints, visibility) == pytest.approx(150)
    visibility[index("right_ankle")] = 0
    assert mpii.person_size(joints, visibility) == pytest.approx(150)
    joints[index("head_top")] = 50, -40  # the shoulders come first: heads are bent
    assert mpii.person_size(joints, visibility) == pytest.approx(150)
    joints[index("head_top")] = 50, 10
    visibility[index("right_shoulder")] = 0
    assert mpii.person_size(joints, visibility) == pytest.approx(150)
    visibility[index("head_top")] = 0
    assert mpii.person_size(joints, visibility) is None


@pytest.mark.data
@pytest.mark.parametrize("hidden", [(), ("right_shoulder", "left_shoulder")])
def test_person_size_without_ankles_is_that_with_ankles_on_average(data_dir, hidden):
    joints = scipy.io.loadmat(data_dir / "lsp_dataset" / "joints.mat")["joints"][:2].transpose(2, 1, 0)
    conversion = skeletons.convert(skeletons.LSP14, skeletons.MPII16)
    joints, whole = conversion.coordinates(joints), conversion.weights
    cut = whole.copy()
    for joint in ("right_ankle", "left_ankle", *hidden):
        cut[skeletons.MPII16.index(joint)] = 0
    ratios = [mpii.person_size(person, cut) / mpii.person_size(person, whole) for person in joints]
    assert np.median(ratios) == pytest.approx(1, abs=0.03)


def test_person_box_is_larger_than_the_person(folder):
    _, results = read(folder)
    size = mpii.person_size(results[1].joints2d, results[1].visibility)
    assert results[1].scale == pytest.approx(1.2 * size, rel=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"poses": np.zeros((3, 14, 5))}, "`poses` must be 3x16xN numbers. Received: 3x14x5"),
        ({"joints": np.zeros((3, 16, 5))}, "is not an npz file with `poses`"),
        ({"poses": np.array([{}])}, "is not an npz file with `poses`"),
    ],
)
def test_poses_of_another_kind(folder, content, message):
    np.savez(folder.root / "poses.npz", **content)
    with pytest.raises(UserError, match=rf"poses\.npz: {message}"):
        read(folder)


def test_images_and_poses_that_do_not_belong_together(folder, write_image):
    write_image(folder.root / "images" / "00009.png", 70, 64)
    with pytest.raises(UserError, match=r"image 00009\.png, but the poses end at 5"):
        read(folder)


def test_a_stray_image_among_many_is_left_out(tmp_path, write_image):
    np.savez(tmp_path / "poses.npz", poses=np.random.default_rng(0).uniform(5, 60, (3, 16, 12)))
    for number in (*range(1, 13), 20231105):
        write_image(tmp_path / "images" / f"{number:05d}.png", 70, 64)
    first, *others = mpii.mpii(tmp_path).items
    assert first == Skipped("20231105.png", "image without a pose")
    assert len(others) == 12


def test_folder_without_images(folder):
    for path in (folder.root / "images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"images: holds no image NNNNN\.png"):
        read(folder)
