"""Records are made from the table of fields: what a Sample holds comes back, and so do fields of one's own."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hpe import fields, skeletons
from hpe.datasets.sample import Sample
from hpe.fields import Codec, Field, Kind, Stored
from hpe.geometry.cameras import PinholeCamera
from hpe.records.encoding import encode_sample
from hpe.records.maps import decode_map, encode_map
from hpe.records.schema import parse_examples

PIXELS = np.full((4, 6, 3), 90, np.uint8)
RNG = np.random.default_rng(0)
CAMERA = PinholeCamera(
    [1100.5, 1090],
    [3.25, 2],
    k=[-0.2, 0.1, 0.01],
    p=[0.001, 0.002],
    rotation=np.eye(3),
    translation=[1, 2, 3],
)


def sample(**changes) -> Sample:
    values = {
        "name": "im1.jpg",
        "image": cv2.imencode(".jpg", PIXELS)[1].tobytes(),
        "height": 4,
        "width": 6,
        "skeleton": "coco17",
        "joints2d": RNG.uniform(0, 6, (17, 2)).astype(np.float32),
        "visibility": np.linspace(0.1, 0.9, 17, dtype=np.float32),
        "center": np.array([100.9, -3.9], np.float32),
    }
    return Sample(**(values | changes))


def parse(*samples: Sample, keys=None, skeleton2d="coco17", skeleton3d=None) -> dict[str, np.ndarray]:
    keys = [field.key for field in fields.all_fields()] if keys is None else keys
    records = tf.constant([encode_sample(one) for one in samples])
    parsed = parse_examples(records, keys, skeleton2d=skeleton2d, skeleton3d=skeleton3d)
    return {key: value.numpy() for key, value in parsed.items()}


def version_1_record() -> bytes:
    """What the first version of this package wrote: visibility in {0, 1}, whole centres, joints in `cocoplus19`."""
    floats = {
        "image/x": np.arange(14.0),
        "image/y": np.arange(14.0) / 2,
        "image/face_pts": np.r_[np.full(5, 3.0), np.full(5, 4.0), 1, 1, 0, 0, 0],
        "joints3d/xyz": np.arange(57.0),
        "joints3d/confidence": np.full(19, 0.5),
        "keypoints/xyv": np.stack([np.arange(16.0), np.arange(16.0), np.ones(16)], axis=1).ravel(),
        "body/pose": np.full(72, 0.25),
        "body/shape": np.full(10, 2.0),
    }
    ints = {"image/center": [3, 2], "image/visibility": [1] * 14, "image/height": [4], "image/width": [6]}
    texts = {
        "image/encoded": b"J",
        "image/filename": b"a",
        "image/skeleton": b"mpii16",
        "body/model": b"default",
    }
    feature = {
        key: tf.train.Feature(float_list=tf.train.FloatList(value=list(v))) for key, v in floats.items()
    }
    feature |= {key: tf.train.Feature(int64_list=tf.train.Int64List(value=v)) for key, v in ints.items()}
    feature |= {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for key, v in texts.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def test_confidences_and_the_fraction_of_the_centre_are_kept():
    one = sample()
    record = parse(one, keys=["joints2d"])
    np.testing.assert_array_equal(record["joints2d_weight"][0], one.visibility)
    np.testing.assert_array_equal(record["joints2d"][0], one.joints2d)
    np.testing.assert_array_equal(record["center"][0], one.center)


def test_what_a_sample_lacks_is_zeros_with_weight_0():
    record = parse(sample())
    for field in fields.FIELDS:
        if field.key in record and field.key not in ("image", "joints2d", "name", "image_size"):
            value = record[field.key][0]
            assert not (value if isinstance(value, bytes) else value.any())
            assert field.weight is None or not record[field.weight][0].any()


def test_every_field_comes_back():
    depth = (RNG.uniform(0, 9, (4, 6)) * 1000).round() / 1000
    one = sample(
        mask=encode_map(fields.get("silhouette"), np.eye(4, 6)),
        part_labels=encode_map(fields.get("part_labels"), np.full((4, 6), 24)),
        depth=encode_map(fields.get("depth"), depth),
        scale=50.5,
        head_size=30.25,
        skeleton3d="h36m17",
        joints3d=RNG.normal(size=(17, 3)).astype(np.float32),
        pose=np.arange(72, dtype=np.float32),
        body_model="smpl",
        gender="female",
        camera=np.array([1, 2, 3], np.float32),
        pinhole=CAMERA,
        subject="S1",
        action="Walking",
        sequence="S1/Walking 1",
        camera_name="left",
        frame=0,
        frames_per_second=50.0,
    )
    record = {key: value[0] for key, value in parse(one, skeleton3d="h36m17").items()}
    np.testing.assert_array_equal(record["joints3d"], one.joints3d)
    np.testing.assert_array_equal(record["joints3d_weight"], np.ones(17))
    for key in ("pose", "camera", "head_size"):
        np.testing.assert_array_equal(record[key], getattr(one, key))
    # Pose and shape come apart.
    assert (record["pose_weight"], record["shape_weight"]) == (1, 0)
    texts = {"gender": "female", "subject": "S1", "action": "Walking", "sequence": "S1/Walking 1"}
    for key, text in (texts | {"camera_name": "left", "body_model": "smpl", "name": "im1.jpg"}).items():
        assert record[key].decode() == text
    assert (record["frame"], record["frames_per_second"], record["scale"]) == (0, 50, 50.5)
    np.testing.assert_array_equal(record["image_size"], [4, 6])
    np.testing.assert_allclose(record["intrinsics"], CAMERA.matrix, rtol=1e-6)
    np.testing.assert_allclose(record["distortion"], [-0.2, 0.1, 0.01, 0.001, 0.002], rtol=1e-6)
    np.testing.assert_array_equal(record["camera_translation"], [1, 2, 3])
    np.testing.assert_allclose(decode_map(fields.get("depth"), record["depth"]), depth, rtol=1e-6)
    assert (decode_map(fields.get("part_labels"), record["part_labels"]) == 24).all()
    np.testing.assert_array_equal(decode_map(fields.get("silhouette"), record["silhouette"]), np.eye(4, 6))


def test_only_the_wanted_fields_are_parsed():
    assert parse(sample(), keys=["name", "valid"]).keys() == {"name", "center", "scale"}


def test_fields_of_ones_own_are_written_and_parsed(monkeypatch):
    monkeypatch.setattr(fields, "TABLE", dict(fields.TABLE))
    own = {
        "normals": Field(
            key="normals", shape=("S", "S", 3), dtype="uint8", kind=Kind.MAP, weight="normals_weight", doc="toy",
            stored=Stored("toy/normals", Codec.PNG),
        ),
        "seen": Field(
            key="seen", shape=("J", 2), dtype="float32", kind=Kind.POINTS2D, weight="seen_weight", doc="toy",
            stored=Stored("toy/seen", Codec.JOINTS),
        ),
        "smile": Field(
            key="smile", shape=(), dtype="int32", kind=Kind.CONSTANT, weight="smile_weight", doc="toy",
            stored=Stored("toy/smile", Codec.INTS),
        ),
        "corners": Field(
            key="corners", shape=(2, 2), dtype="float32", kind=Kind.POINTS2D, weight="corners_weight", doc="toy",
            stored=Stored("toy/corners", Codec.FLOATS), flip=(1, 0),
        ),
    }  # fmt: skip
    for field in own.values():
        fields.register(field)
    normals, seen = RNG.integers(0, 255, (4, 6, 3), np.uint8), RNG.normal(size=(17, 2)).astype(np.float32)
    extra = {"normals": normals, "seen": seen, "smile": 3, "corners": np.eye(2)}
    record = parse(sample(extra=extra), sample(), keys=list(own), skeleton2d="lsp14")
    np.testing.assert_array_equal(decode_map(own["normals"], record["normals"][0]), normals)
    knee = [skeleton.index("left_knee") for skeleton in (skeletons.LSP14, skeletons.COCO17)]
    np.testing.assert_array_equal(record["seen"][0, knee[0]], seen[knee[1]])
    np.testing.assert_array_equal(record["seen_weight"][:, knee[0]], [1, 0])
    np.testing.assert_array_equal(record["smile"], [3, 0])
    np.testing.assert_array_equal(record["smile_weight"], [1, 0])
    np.testing.assert_array_equal(record["corners"], [np.eye(2), np.zeros((2, 2))])
    np.testing.assert_array_equal(record["corners_weight"], [[1, 1], [0, 0]])
    np.testing.assert_array_equal(record["normals_weight"], [1, 0])


def test_records_of_version_1_are_read():
    parsed = parse_examples(
        version_1_record(), [f.key for f in fields.FIELDS], skeleton2d="mpii16", skeleton3d="lsp14"
    )
    np.testing.assert_array_equal(parsed["center"], [3, 2])
    np.testing.assert_array_equal(parsed["joints2d"], np.repeat(np.arange(16.0)[:, None], 2, axis=1))
    np.testing.assert_array_equal(parsed["joints3d"], np.arange(42.0).reshape(14, 3))
    np.testing.assert_array_equal(parsed["joints3d_weight"], np.full(14, 0.5))
    assert (parsed["pose_weight"], parsed["shape_weight"], parsed["body_model"]) == (1, 1, b"default")
    assert parsed["gender"] == b""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": {"nothing": np.zeros(3)}}, "Unknown field 'nothing'"),
        ({"extra": {"valid": np.zeros(())}}, "do not keep the field valid"),
        ({"extra": {"depth": np.zeros((3, 6))}}, "depth must have shape"),
        ({"extra": {"depth": np.full((4, 6), 99.0)}}, "depth must be of 0 to"),
        ({"gender": "f"}, "gender must be one of male, female, neutral"),
        ({"center": np.array([np.nan, 1])}, "center must be finite"),
    ],
)
def test_samples_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        encode_sample(sample(**changes))


def test_a_map_that_is_none_is_named():
    for encoded in (b"", b"no picture"):
        with pytest.raises(ValueError, match="its depth does not decode"):
            decode_map(fields.get("depth"), encoded)
    with pytest.raises(ValueError, match="does not have 1 channels"):
        decode_map(fields.get("depth"), cv2.imencode(".png", PIXELS)[1].tobytes())
