"""Datasets with bodies, 3D joints and MATLAB structures: each layout is read, and other conventions are refused."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe import skeletons
from hpe.datasets import space
from hpe.datasets.film_frames import other_rate
from hpe.datasets.flic import flic
from hpe.datasets.hr_lspet import hr_lspet
from hpe.datasets.mpi_inf_3dhp import mpi_inf_3dhp
from hpe.datasets.mpii_release import mpii_release
from hpe.datasets.occlusion_person import occlusion_person
from hpe.datasets.pw3d import pw3d
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.spin import spin
from hpe.errors import UserError
from tests import people_folders as folders


def load(sources):
    return {source.name: [source.load(item) for item in source.items] for source in sources}


def joints_are_seen(sample, *, within=0.1):
    """Asserts that the camera sees the 3D joints where the 2D joints of the same set are."""
    assert sample.skeleton == sample.skeleton3d
    seen = sample.pinhole.project(sample.joints3d.astype(float))
    known = sample.visibility > 0
    np.testing.assert_allclose(seen[known], sample.joints2d[known], atol=within)


# MPII


def test_mpii_as_it_is_released(tmp_path):
    path = folders.write_mpii_release(tmp_path)
    people = load([mpii_release(path)])["mpii_release"]
    assert [type(person) for person in people] == [Sample, Skipped, Sample]
    first, without, boxless = people
    expected = folders.seen(folders.standing(skeletons.MPII16))
    np.testing.assert_allclose(first.joints2d[:15], expected[:15], atol=1e-4)
    assert first.visibility.tolist() == [1] * 15 + [0]
    assert (first.scale, first.center.tolist()) == (80, [80, 66])
    assert first.head_size == pytest.approx(30)
    assert (first.name, first.action, first.sequence) == ("a.jpg#1", "rowing", "first")
    assert without == Skipped("a.jpg#2", "person without labelled joints")
    # Made of the joints as in MSRA's files.
    assert boxless.scale == pytest.approx(
        1.2 * np.linalg.norm(np.ptp(boxless.joints2d[:15], axis=0)), rel=0.01
    )


def test_odd_entries_of_mpii_are_left_out(tmp_path):
    def change(pictures):
        pictures[0]["annorect"]["annopoints"][0, 0]["point"]["id"][0, 3] = 99.0
        pictures[1]["image"] = {"name": 5.0}

    path = folders.write_mpii_release(tmp_path, changes=change)
    with pytest.raises(UserError, match="holds nobody with labelled joints"):
        mpii_release(path)
    with pytest.raises(UserError, match=r"has no mpii_human_pose\*\.mat"):
        mpii_release(tmp_path / "images")


# LSP-extended in high resolution


@pytest.mark.parametrize(("numbers", "count", "places"), [((1, 2, 4), 3, [0, 1, 2]), ((1, 4), 5, [0, 3])])
def test_hr_lspet_belongs_together_by_place_or_by_number(tmp_path, numbers, count, places):
    folders.write_hr_lspet(tmp_path, numbers=numbers, count=count)
    people = load([hr_lspet(tmp_path)])["hr_lspet"]
    for person, place in zip(people, places, strict=True):
        expected = folders.seen(folders.standing(skeletons.LSP14, seed=place))
        known = person.visibility > 0
        assert known.sum() == (13 if place == 1 else 14)
        np.testing.assert_allclose(person.joints2d[known], expected[known], atol=1e-4)


def test_hr_lspet_of_other_pictures_is_refused(tmp_path):
    folders.write_hr_lspet(tmp_path, numbers=(1, 7), count=5)
    with pytest.raises(
        UserError, match=r"has 2 pictures, the last of which is im00007\.png, but joints\.mat joints of 5"
    ):
        hr_lspet(tmp_path)


# SPIN and PARE


def test_spin_with_bodies(tmp_path):
    people = load(spin(folders.write_spin(tmp_path / "3dpw_test.npz")))["spin_3dpw_test"]
    arrays = folders.spin_arrays()
    first, second, last = people
    assert first.skeleton == "spin49"
    np.testing.assert_allclose(first.joints2d[25:], arrays["part"][0, :, :2], rtol=1e-5)
    np.testing.assert_allclose(first.visibility[:25], arrays["openpose"][0, :, 2], rtol=1e-5)
    assert (first.skeleton3d, first.scale, first.center.tolist()) == ("spin24", 100, [80, 60])
    np.testing.assert_allclose(first.joints3d, arrays["S"][0, :, :3], atol=1e-6)
    np.testing.assert_allclose(first.pose, arrays["pose"][0], rtol=1e-5)
    assert (first.gender, first.body_model, second.gender) == ("male", "smpl", "female")
    assert (first.sequence, second.frame) == ("walk", 1)
    assert last.pose is None
    assert last.gender == ""
    assert last.joints3d is not None


def test_spin_of_bodies_alone(tmp_path):
    path = folders.write_spin(tmp_path / "a.npz", part=None, openpose=None, S=None)
    people = load(spin(path))["spin_a"]
    assert isinstance(people[0], Sample)
    assert not people[0].visibility.any()
    assert people[0].center.tolist() == [80, 60]
    assert people[2] == Skipped("imageFiles/walk/image_00002.jpg#2", "no visible joint")


def _changed_axes(values):
    return values * np.array([1, -1, -1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"S": folders.spin_arrays()["S"] * [1000, 1000, 1000, 1]}, "they seem to be in millimetres"),
        ({"S": _changed_axes(folders.spin_arrays()["S"])}, "they fit if y is up"),
        ({"S": folders.spin_arrays()["S"][:2]}, "`S` must be 3x24x4 numbers. Received: 2x24x4"),
        ({"pose": np.degrees(folders.spin_arrays()["pose"])}, "`pose`: poses are no rotations in radians"),
        ({"part": np.ones((3, 17, 3))}, "has 17 joints, and which they are cannot be told"),
        ({"center": None}, "`center` must be 3x2 numbers. Received: none"),
        ({"imgname": np.array("a.jpg")}, "`imgname` must be the names of the pictures"),
        ({"gender": np.arange(3)}, "`gender` must be 3 texts"),
        ({"gender": np.array(["m", "x", "f"])}, "`gender` must be m, f or n. Received: 'x' of number 1"),
        (
            {"pose": None, "has_smpl": np.ones(3)},
            "`has_smpl` says that there are bodies, but it holds no `pose`",
        ),
    ],
)
def test_spin_of_another_convention_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        spin(folders.write_spin(tmp_path / "a.npz", **changes))


@pytest.mark.parametrize("key", ["imgname", "maskname"])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("../secret/a.jpg", "leads upwards out of"),
        ("walk/../../secret/a.jpg", "leads upwards out of"),
        (r"..\secret\a.jpg", "leads upwards out of"),
        ("{root}/secret/a.jpg", "is a whole path, and not one of a file in"),
    ],
)
def test_a_name_of_spin_that_leads_out_of_the_folder_is_refused(tmp_path, write_image, key, name, how):
    write_image(tmp_path / "secret" / "a.jpg", 60, 80)
    name = name.format(root=tmp_path)
    path = folders.write_spin(tmp_path / "data" / "dataset_extras" / "a.npz")
    names = folders.spin_arrays()["imgname"].tolist()
    np.savez(path, **folders.spin_arrays() | {key: np.array([names[0], name, names[2]])})
    with pytest.raises(UserError) as caught:
        spin(path)
    assert str(caught.value) == (
        f"{path}: `{key}` number 1, {name!r}, {how} {path.parent}; write names below that folder, or say by "
        "`spin_images` below which they are."
    )


def test_a_whole_path_of_spin_is_followed_below_the_folder(tmp_path):
    path = folders.write_spin(tmp_path / "data" / "a.npz")
    names = folders.spin_arrays()["imgname"]
    for root in ("/home/somebody/3dpw", str(tmp_path / "data"), "imageFiles/.."):
        np.savez(path, **folders.spin_arrays() | {"imgname": np.array([f"{root}/{name}" for name in names])})
        assert all(isinstance(person, Sample) for person in load(spin(path))["spin_a"])


def test_spin_folder_with_a_stranger(tmp_path):
    folders.write_spin(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    (source,) = spin(tmp_path)
    assert source.items[0] == Skipped("b.npz", "holds no `imgname`")
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(UserError, match=r"a\.npz: holds no `imgname`"):
        spin(tmp_path)


@pytest.mark.data
def test_genuine_pictures_of_mpi_inf_3dhp_in_spins_form(data_dir):
    """The joint set is told by the data, and one camera sees all joints of a picture where they are marked."""
    for part, focal in (("train", 1499), ("test", 1502)):
        (source,) = spin(data_dir / "samples" / "mpi_inf_3dhp" / f"test_3dhp_{part}.npz")
        for sample in map(source.load, source.items):
            assert (sample.skeleton, sample.skeleton3d) == ("mpi_inf_3dhp17", "mpi_inf_3dhp17")
            camera, off = space.fit_pinhole(sample.joints3d.astype(float), sample.joints2d.astype(float))
            assert off < 3
            np.testing.assert_allclose(camera.focal, focal, rtol=0.03)


# 3DPW


def test_3dpw_is_moved_into_the_camera(tmp_path):
    folders.write_pw3d(tmp_path)
    people = load(pw3d(tmp_path))["pw3d_train"]
    reasons = [person.reason for person in people if isinstance(person, Skipped)]
    assert reasons == ["fewer than 6 joints were detected", *["camera of the frame is not valid"] * 2]
    first = people[0]
    body = folders.standing(skeletons.SMPL24)
    np.testing.assert_allclose(first.joints3d, body, atol=1e-5)
    np.testing.assert_allclose(
        first.joints2d, folders.seen(folders.standing(skeletons.OPENPOSE18)), atol=1e-4
    )
    recording = folders.pw3d_recording()
    expected = Rotation.from_matrix(recording["cam_poses"][0, :3, :3]) * Rotation.from_rotvec(
        recording["poses"][0][0, :3]
    )
    np.testing.assert_allclose(first.pose[:3], expected.as_rotvec(), atol=1e-5)
    np.testing.assert_allclose(first.pose[3:], recording["poses"][0][0, 3:], atol=1e-6)
    np.testing.assert_allclose(first.shape, recording["betas"][0][:10], rtol=1e-6)
    assert (first.gender, people[3].gender, first.body_model) == ("male", "female", "smpl")
    assert (first.sequence, people[2].frame, first.frames_per_second) == ("walk_00", 1, 30)
    world = recording["jointPositions"][0][0].reshape(24, 3)
    camera = first.pinhole
    np.testing.assert_allclose((world - camera.translation) @ camera.rotation.T, body, atol=1e-9)


def _inverted(recording):
    recording["cam_poses"] = np.linalg.inv(recording["cam_poses"])


def _in_millimetres(recording):
    recording["jointPositions"] = [1000 * joints for joints in recording["jointPositions"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_inverted, "they fit if cam_poses lead from the camera to the world"),
        (_in_millimetres, "jointPositions: a person is .* they seem to be in millimetres"),
        (lambda recording: recording.pop("cam_intrinsics"), "cam_intrinsics has the shape"),
        (lambda recording: recording["betas"].pop(), "lists of people differ in length"),
        (lambda recording: recording.update(poses=[np.zeros((4, 7))] * 2), "poses has the shape"),
        (lambda recording: recording.update(poses=[np.full((4, 72), 20.0)] * 2), "are they in degrees"),
    ],
)
def test_a_recording_of_3dpw_in_another_convention_is_named(tmp_path, change, message):
    recording = folders.pw3d_recording()
    change(recording)
    folders.write_pw3d(tmp_path, recording)
    with pytest.raises(UserError, match=message):
        pw3d(tmp_path)
    folders.write_pw3d(tmp_path)
    (tmp_path / "sequenceFiles" / "train" / "a.pkl").write_bytes(b"no pickle")
    (source,) = pw3d(tmp_path)
    assert isinstance(source.items[0], Skipped)
    assert source.items[0].name == "a.pkl"


# MPI-INF-3DHP


def test_mpi_inf_3dhp(tmp_path):
    folders.write_mpi_inf_3dhp(tmp_path)
    folders.write_mpi_inf_3dhp_test(tmp_path)
    found = load(mpi_inf_3dhp(tmp_path, every=4))
    assert [len(people) for people in found.values()] == [2, 1]
    first, second = found["mpi_inf_3dhp_train"]
    joints_are_seen(first)
    joints_are_seen(second)
    np.testing.assert_allclose(second.joints3d, folders.standing(skeletons.MPI_INF_3DHP28, seed=4), atol=1e-5)
    np.testing.assert_allclose(first.pinhole.focal, folders.CAMERA.focal, rtol=1e-3)
    assert (second.frame, second.camera_name, second.sequence) == (4, "video_1", "S1/Seq1")
    assert second.frames_per_second == 25
    found = load(mpi_inf_3dhp(tmp_path, every=1, universal=True))["mpi_inf_3dhp_test"]
    assert [(person.frame, person.action) for person in found] == [
        (0, "standing or walking"),
        (2, "sitting"),
        (3, "miscellaneous"),
    ]
    np.testing.assert_allclose(
        found[1].joints3d, 0.92 * folders.standing(skeletons.MPI_INF_3DHP17, seed=2), atol=1e-5
    )


def test_mpi_inf_3dhp_with_all_pictures_in_one_folder(tmp_path):
    folders.write_mpi_inf_3dhp(tmp_path)
    (tmp_path / "images").mkdir()
    pictures = tmp_path / "S1" / "Seq1" / "imageFrames" / "video_1"
    (pictures / "frame_000003.jpg").rename(tmp_path / "images" / "S1_Seq1_Cam0_000003.jpg")
    people = load(mpi_inf_3dhp(tmp_path, every=1))["mpi_inf_3dhp_train"]
    assert [(person.camera_name, person.frame) for person in people if isinstance(person, Sample)] == [
        ("video_0", 2),
        *[("video_1", frame) for frame in (0, 4, 6)],
    ]


def test_pictures_taken_at_another_rate_than_the_films_are_told_by_their_number():
    for count, film, rate in ((2567, 25, 10), (6416, 25, 0), (3000, 25, 0), (12831, 25, 50), (5133, 0, 20)):
        assert other_rate(range(count), 6416, film_rate=film) == rate
    # Some of the frames keep their numbers; a few pictures say nothing.
    assert other_rate(range(0, 6416, 10), 6416, film_rate=25) == 0
    assert other_rate(range(40), 100, film_rate=25) == 0


def test_mpi_inf_3dhp_of_another_rate_is_left_out(tmp_path):
    folders.write_mpi_inf_3dhp(tmp_path, frames=250)
    video = tmp_path / "S1" / "Seq1" / "imageFrames" / "video_1"
    for number, path in enumerate(sorted(video.iterdir())):
        path.rename(video / f"{number:06d}.tmp")
    for number in range(1, 101):
        (video / f"{number - 1:06d}.tmp").rename(video / f"frame_{number:06d}.jpg")
    with pytest.raises(
        UserError, match="100 pictures for labels of 250 frames: they were taken at 10 per second"
    ):
        mpi_inf_3dhp(tmp_path)


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (lambda joints: joints, "a person is 0.00.* m tall by annot3, if it is in millimetres"),
        (lambda joints: joints * [1000, -1000, 1000], "annot3 where annot2 is: wanted are millimetres"),
    ],
)
def test_mpi_inf_3dhp_of_another_convention_is_refused(tmp_path, convert, message):
    folders.write_mpi_inf_3dhp(tmp_path, convert=convert)
    with pytest.raises(UserError, match=message):
        mpi_inf_3dhp(tmp_path)


# FLIC


@pytest.mark.parametrize("mirrored", [False, True])
def test_flic_by_the_names_of_its_columns(tmp_path, mirrored):
    folders.write_flic(tmp_path, mirrored=mirrored)
    sources = flic(tmp_path)
    found = load(sources)
    assert {name: len(people) for name, people in found.items()} == {"flic_train": 24, "flic_test": 1}
    first = found["flic_train"][0]
    expected = folders.seen(folders.standing(skeletons.COCO17))
    labelled = first.visibility > 0
    assert labelled.sum() == 13
    np.testing.assert_allclose(first.joints2d[labelled], expected[labelled], atol=1e-4)
    assert (first.sequence, first.frame) == ("film", 7)
    assert sources[0].options["left_is"] == ("the picture's" if mirrored else "the person's")


# Occlusion-Person


def test_occlusion_person(tmp_path):
    folders.write_occlusion_person(tmp_path)
    people = load(occlusion_person(tmp_path))["occlusion_person_train"]
    for person in people:
        joints_are_seen(person)
    assert (people[0].scale, people[0].action, people[2].frame) == (100, "dance2", 2)
    assert people[1].visibility.all()
    people = load(occlusion_person(tmp_path, hidden=False))["occlusion_person_train"]
    assert people[1].visibility.tolist() == [1] * 14 + [0]


def test_odd_entries_of_occlusion_person(tmp_path):
    entries = folders.occlusion_person_entries()
    del entries[1]["camera"]
    folders.write_occlusion_person(tmp_path, entries)
    (source,) = occlusion_person(tmp_path)
    assert source.items[1] == Skipped("unrealcv_train.pkl entry 1", "entry has no camera")
    for entry in entries:
        entry["joints_3d"] = entry["joints_3d"] * np.array([1, -1, -1])
    folders.write_occlusion_person(tmp_path, entries)
    with pytest.raises(UserError, match="they fit if y is up"):
        occlusion_person(tmp_path)


# What they share


def test_a_picture_that_exif_turns_is_no_place_for_3d_labels(tmp_path):
    from PIL import Image

    folders.write_mpi_inf_3dhp(tmp_path)
    path = tmp_path / "S1" / "Seq1" / "imageFrames" / "video_1" / "frame_000001.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (folders.WIDTH, folders.HEIGHT)).save(path, exif=exif)
    (source,) = mpi_inf_3dhp(tmp_path, every=1)
    person = dataclasses.replace(source.items[0], size=(folders.HEIGHT, folders.WIDTH))
    assert source.load(person) == Skipped(
        person.name, "EXIF turns the image, but its 3D labels are those of the unturned one"
    )
