"""show_records: joints, mask and 3D skeleton end up where they belong in the picture."""

import dataclasses
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hpe import fields, skeletons
from hpe.datasets.pose_sequence import Keypoints, PoseSequence, SequenceSource
from hpe.datasets.sample import Sample
from hpe.errors import UserError
from hpe.fields import Codec, Field, Kind, Stored
from hpe.programs.person_pictures import PersonRecord, draw_person
from hpe.programs.record_pictures import show
from hpe.programs.show_records import ShowConfig
from hpe.records.encoding import encode_sample
from hpe.records.maps import encode_map
from hpe.records.mocap import write_frames
from hpe.records.poses import write_sequences
from hpe.records.writing import write_dataset
from hpe.visualization.skeletons import joint_color
from tests.conftest import PROJECT_ROOT

GREY = 120


def person(index=0, **changes) -> Sample:
    """A grey image of 40x30 with a mask in its lower right quarter and two labelled joints."""
    mask = np.zeros((40, 30), np.uint8)
    mask[20:, 15:] = 255
    joints = np.zeros((14, 2), np.float32)
    joints[skeletons.LSP14.index("right_ankle")] = (5, 35)
    joints[skeletons.LSP14.index("head_top")] = (6, 4)
    sample = Sample(
        name=f"im{index}.png",
        image=cv2.imencode(".png", np.full((40, 30, 3), GREY, np.uint8))[1].tobytes(),
        height=40,
        width=30,
        skeleton="lsp14",
        joints2d=joints,
        visibility=joints.any(axis=1).astype(np.float32),
        center=np.array([5, 20], np.float32),
        mask=cv2.imencode(".png", mask)[1].tobytes(),
    )
    return dataclasses.replace(sample, **changes)


def draw(sample, **options):
    record = PersonRecord(encode_sample(sample))
    return draw_person(record, **({"size": 400, "names": False} | options))


def test_joints_are_drawn_at_their_pixels():
    picture = draw(person())
    assert picture.shape == (400, 300, 3)
    for joint, (x, y) in (("right_ankle", (5, 35)), ("head_top", (6, 4))):
        column, row = round(10 * x + 4.5), round(10 * y + 4.5)
        np.testing.assert_allclose(picture[row, column], joint_color(joint), atol=2)


def test_mask_is_tinted_and_the_rest_is_the_image():
    picture = draw(person()).astype(int)
    np.testing.assert_allclose(picture[:180, 160:], GREY, atol=1)
    tinted = picture[210:, 160:]
    assert (tinted[..., 0] > GREY + 20).all()
    assert (tinted[..., 1] < GREY - 20).all()
    assert (draw(person(mask=None)).astype(int)[210:, 160:] == GREY).all()


def test_unlabelled_joints_are_not_drawn():
    # Joints at (0, 0) are unlabelled: the corner stays clean.
    assert (draw(person())[:20, :20] == GREY).all()


def test_occluded_joints_are_rings():
    joint = skeletons.LSP14.index("right_ankle")
    visibility = person().visibility.copy()
    visibility[joint] = 0
    picture = draw(person(visibility=visibility)).astype(int)
    around = picture[330:380, 30:80]
    color = np.array(joint_color("right_ankle"))
    assert (np.abs(around - color).max(axis=-1) < 30).any()
    np.testing.assert_allclose(picture[354, 54], GREY, atol=2)


def test_names_are_written():
    assert (draw(person(), names=True) != draw(person())).any()


def test_3d_skeleton_stands_beside_the_image():
    joints = np.random.default_rng(0).normal(size=(19, 3)).astype(np.float32)
    picture = draw(person(skeleton3d="cocoplus19", joints3d=joints))
    assert picture.shape == (400, 300 + 400, 3)
    assert (picture[:, 300:] != picture[0, 300]).any()


def test_every_field_is_drawn_or_told(monkeypatch):
    monkeypatch.setattr(fields, "TABLE", dict(fields.TABLE))
    warmth = {"key": "warmth", "shape": ("S", "S"), "kind": Kind.MAP, "weight": "warmth_weight"}
    corners = {"key": "corners", "shape": (2, 2), "kind": Kind.POINTS2D, "weight": "corners_weight"}
    for values, codec in ((warmth, Codec.PNG), (corners, Codec.FLOATS)):
        fields.register(
            Field(**values, dtype="float32", doc="toy", stored=Stored(f"toy/{values['key']}", codec))
        )
    ramp = np.tile(np.arange(40.0)[:, None], (1, 30))
    sample = person(
        pose=np.ones(72),
        gender="male",
        frame=7,
        part_labels=encode_map(fields.get("part_labels"), np.full((40, 30), 5)),
        extra={"warmth": ramp, "corners": np.array([[20.0, 10.0], [25.0, 12.0]])},
    )
    caption = PersonRecord(encode_sample(sample)).caption()
    assert caption == "im0.png 2/14 lsp14 mask part_labels pose gender=male frame=7 warmth corners"
    picture = draw(sample)
    assert picture.shape == (400, 3 * 300, 3)
    labels, warmth = picture[:, 300:600], picture[:, 600:].astype(int)
    assert (labels == labels[0, 0]).all()
    assert labels.any()
    assert warmth[-5].sum() > warmth[5].sum()
    assert (picture[104, 204] != GREY).any()


def test_image_that_does_not_decode_is_named():
    with pytest.raises(UserError, match=r"record im0\.png: its image does not decode"):
        draw(person(image=b"nothing"))


@pytest.fixture
def data(tmp_path):
    write_dataset(map(person, range(10)), tmp_path, "people", skeleton="lsp14", shard_size=4, progress=False)
    rng = np.random.default_rng(0)
    frames = [(rng.normal(0, 0.1, 72), np.zeros(10)) for _ in range(5)]
    write_frames(frames, tmp_path, "CMU", shard_size=3)
    return tmp_path


def config(data, **options):
    return ShowConfig(**({"data_dir": str(data), "cell": 100} | options))


def test_records_are_spread_over_all_shards(data):
    shown = show("people", config(data, count=4))
    assert [caption.split()[0] for _, caption in shown] == ["im0.png", "im3.png", "im6.png", "im9.png"]
    assert len(show("people", config(data, count=100))) == 10
    assert shown[0][1] == "im0.png 2/14 lsp14 mask"


def test_shard_manifest_and_mocap(data):
    assert len(show(str(data / "people-00001-of-00003.tfrecords"), config(data))) == 4
    assert len(show(str(data / "people.manifest.json"), config(data, count=3))) == 3
    for name in ("neutrSMPL_CMU", str(data / "mocap_neutrMosh" / "neutrSMPL_CMU_000.tfrecord")):
        pictures = [picture for picture, _ in show(name, config(data))]
        assert len(pictures) == (3 if name.endswith("d") else 5)
        assert all(picture.shape == (100, 100, 3) and picture.std() > 5 for picture in pictures)


def test_pose_sequences_are_drawn_in_2d_and_3d(tmp_path):
    rng = np.random.default_rng(0)
    joints3d, joints2d = rng.normal(size=(5, 17, 3)), rng.uniform(0, 900, (5, 17, 2))
    keypoints = {"gt": Keypoints("h36m17", joints2d), "sh": Keypoints("mpii16", joints2d[:, :16])}
    whole = PoseSequence("S1/Walking/1", "S1", "Walking", "1", joints3d, keypoints)
    items = [
        whole,
        dataclasses.replace(whole, name="flat", joints3d=None),
        dataclasses.replace(whole, name="blind", keypoints={}),
    ]
    write_sequences(SequenceSource("walks", 3, lambda: iter(items)), tmp_path, progress=False)
    shown = show("walks", config(tmp_path, cell=100))
    assert [caption for _, caption in shown] == ["S1/Walking/1 3/5 gt sh", "flat 3/5 gt sh", "blind 3/5"]
    assert [picture.shape for picture, _ in shown] == [(100, 200, 3), (100, 100, 3), (100, 100, 3)]
    for picture, _ in shown:
        assert picture.dtype == np.uint8
        assert picture.min() < 100


def test_bad_names_and_numbers(data):
    with pytest.raises(UserError, match="there is no dataset nobody; found: people"):
        show("nobody", config(data))
    with pytest.raises(ValueError, match="count=0: must be at least 1"):
        config(data, count=0)


def run(*arguments):
    paths = os.pathsep.join([str(PROJECT_ROOT / "src"), str(PROJECT_ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "hpe.programs.show_records", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        timeout=300,
    )


@pytest.mark.slow
def test_command_line(data):
    output = data / "pictures" / "grid.png"
    result = run("--records=people,neutrSMPL_CMU", f"--data_dir={data}", "--count=4", f"--output={output}")
    assert result.returncode == 0, result.stderr
    assert "8 records are drawn in" in result.stdout
    picture = cv2.imread(str(output))
    assert picture.shape[0] > 3 * 360
    assert picture.shape[1] > 3 * 360


@pytest.mark.slow
def test_command_line_errors_are_one_line(data):
    result = run(f"--data_dir={data}")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"error: --records: name a dataset or a record file; in {data} there are: people."
    )
    result = run(
        "--records=people", f"--data_dir={data}", f"--output={data / 'people.manifest.json' / 'x.png'}"
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


@pytest.mark.data
def test_records_of_the_original_code(data_dir, tmp_path):
    path = str(data_dir / "samples" / "original_lsp_16.tfrecords")
    shown = show(path, config(tmp_path, count=16))
    assert [caption.split()[0] for _, caption in shown] == [f"im{n:04d}.jpg" for n in range(1, 17)]
    assert all(caption.endswith("mask") for _, caption in shown)
