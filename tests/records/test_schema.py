"""Samples and records: what goes in comes out, garbage stays out, the originals' records are read."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hpe import skeletons
from hpe.datasets.sample import Sample
from hpe.records import schema
from hpe.records.encoding import encode_sample

PIXEL_PNG = tf.io.encode_png(np.full((4, 6, 3), 90, np.uint8)).numpy()
PIXEL_JPEG = tf.io.encode_jpeg(np.full((4, 6, 3), 90, np.uint8)).numpy()


def lsp_sample(**changes) -> Sample:
    rng = np.random.default_rng(0)
    sample = Sample(
        name="im0001.jpg",
        image=PIXEL_JPEG,
        height=4,
        width=6,
        skeleton="lsp14",
        joints2d=rng.uniform(0, 6, (14, 2)).astype(np.float32),
        visibility=np.array([1, 0] * 7, np.float32),
        center=np.array([3.9, 2.2], np.float32),
    )
    return dataclasses.replace(sample, **changes)


KEYS = (
    "image", "silhouette", "joints2d", "joints3d", "pose", "shape", "body_model", "camera", "head_size",
    "image_size", "name",
)  # fmt: skip


def parse_example(serialized, skeleton="cocoplus19"):
    return schema.parse_examples(serialized, KEYS, skeleton2d=skeleton)


def parse(sample: Sample) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in parse_example(encode_sample(sample)).items()}


def features(serialized: bytes):
    return tf.train.Example.FromString(serialized).features.feature


def hmr_record(**extra) -> bytes:
    """A record written the way HMR writes it, without any help of ours."""

    def floats(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def ints(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    feature = {
        "image/height": ints([4]),
        "image/width": ints([6]),
        "image/center": ints([3, 2]),
        "image/x": floats([float(i) for i in range(14)]),
        "image/y": floats([float(i) / 2 for i in range(14)]),
        "image/visibility": ints([1] * 14),
        "image/format": text(b"JPEG"),
        "image/filename": text(b"im1.jpg"),
        "image/encoded": text(PIXEL_JPEG),
    }
    for key, value in extra.items():
        feature[key] = ints(value) if key == "meta/has_3d" else floats(value)
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def test_2d_sample_comes_back_as_it_went_in():
    sample = lsp_sample()
    record = parse(sample)
    np.testing.assert_array_equal(record["joints2d"][:14], sample.joints2d)
    np.testing.assert_array_equal(record["joints2d_weight"][:14], sample.visibility)
    np.testing.assert_array_equal(record["joints2d"][14:], 0)
    np.testing.assert_array_equal(record["joints2d_weight"][14:], 0)
    np.testing.assert_array_equal(record["center"], sample.center)
    assert record["image"] == sample.image
    assert record["silhouette"] == b""
    assert (*record["image_size"], record["name"]) == (4, 6, b"im0001.jpg")
    assert record["scale"] == 0
    assert record["pose_weight"] == 0
    for key in ("joints3d", "joints3d_weight", "pose", "shape", "camera"):
        np.testing.assert_array_equal(record[key], 0)


def test_everything_a_sample_can_hold_comes_back():
    rng = np.random.default_rng(1)
    sample = lsp_sample(
        skeleton="cocoplus19",
        joints2d=rng.uniform(0, 6, (19, 2)).astype(np.float32),
        visibility=np.array([1] * 15 + [0] * 4, np.float32),
        scale=210.5,
        mask=PIXEL_PNG,
        skeleton3d="cocoplus19",
        joints3d=rng.normal(size=(19, 3)).astype(np.float32),
        confidence3d=rng.uniform(0.1, 1, 19).astype(np.float32),
        pose=rng.normal(size=72).astype(np.float32),
        shape=rng.normal(size=10).astype(np.float32),
        body_model="default",
        camera=np.array([0.9, 0.1, -0.2], np.float32),
    )
    record = parse(sample)
    for key in ("joints2d", "joints3d", "pose", "shape", "camera"):
        np.testing.assert_array_equal(record[key], getattr(sample, key), err_msg=key)
    np.testing.assert_array_equal(record["joints2d_weight"], sample.visibility)
    np.testing.assert_array_equal(record["joints3d_weight"], sample.confidence3d)
    assert record["scale"] == 210.5
    assert record["silhouette"] == PIXEL_PNG
    assert record["pose_weight"] == 1
    assert record["body_model"] == b"default"
    feature = features(encode_sample(sample))
    assert feature["body/model"].bytes_list.value[0] == b"default"
    assert feature["image/skeleton"].bytes_list.value[0] == b"cocoplus19"


def test_stored_keys_are_those_of_the_original():
    feature = features(encode_sample(lsp_sample(mask=PIXEL_PNG)))
    assert len(feature["image/x"].float_list.value) == 14
    assert list(feature["image/visibility"].int64_list.value) == [1, 0] * 7
    assert list(feature["image/face_pts"].float_list.value) == [0.0] * 15
    assert list(feature["image/center"].int64_list.value) == [4, 2]
    np.testing.assert_array_equal(feature["image/box_center"].float_list.value, lsp_sample().center)
    assert feature["image/format"].bytes_list.value[0] == b"JPEG"
    assert feature["image/seg_gt"].bytes_list.value[0] == PIXEL_PNG


def test_png_images_are_called_png():
    feature = features(encode_sample(lsp_sample(image=PIXEL_PNG)))
    assert feature["image/format"].bytes_list.value[0] == b"PNG"


@pytest.mark.parametrize("name", ["mpii16", "coco17", "h36m17", "smpl24"])
def test_other_skeletons_are_converted_by_what_their_joints_are(name):
    skeleton = skeletons.get(name)
    joints = np.stack([np.arange(len(skeleton)), 100 + np.arange(len(skeleton))], axis=1).astype(np.float32)
    record = parse(lsp_sample(skeleton=name, joints2d=joints, visibility=np.ones(len(skeleton))))
    shared = 0
    for position, joint in enumerate(skeletons.COCOPLUS19.joints):
        if joint == "neck" and name == "h36m17":
            joint = "thorax"
        # What Human3.6M calls nose is none of the face.
        if joint in skeleton.joints and (joint, name) != ("nose", "h36m17"):
            np.testing.assert_array_equal(record["joints2d"][position], joints[skeleton.index(joint)])
            assert record["joints2d_weight"][position] == 1
            shared += 1
        else:
            np.testing.assert_array_equal(record["joints2d"][position], 0)
            assert record["joints2d_weight"][position] == 0
    assert shared >= 12


def test_coordinates_that_are_not_finite_never_reach_a_record():
    joints = lsp_sample().joints2d.copy()
    joints[2] = [np.nan, 3]
    joints[4] = [np.inf, 3]
    serialized = encode_sample(lsp_sample(joints2d=joints, visibility=np.ones(14, np.float32)))
    feature = features(serialized)
    assert np.isfinite(feature["image/x"].float_list.value).all()
    assert [feature["image/y"].float_list.value[i] for i in (2, 4)] == [0, 0]
    assert [feature["image/visibility"].int64_list.value[i] for i in (2, 3, 4)] == [0, 1, 0]


def test_3d_joints_without_confidence_are_written_as_zero():
    confidence = np.ones(17, np.float32)
    confidence[3] = 0
    joints = np.full((17, 3), 7, np.float32)
    record = parse(lsp_sample(skeleton3d="h36m17", joints3d=joints, confidence3d=confidence))
    ankle = skeletons.COCOPLUS19.index("right_ankle")
    np.testing.assert_array_equal(record["joints3d"][ankle], 0)
    assert record["joints3d_weight"][ankle] == 0
    assert record["joints3d_weight"].sum() == 14 - 1  # lsp14 without the ankle


def test_equal_samples_give_equal_bytes():
    assert encode_sample(lsp_sample(scale=2.0)) == encode_sample(lsp_sample(scale=2.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints2d": np.zeros((13, 2))}, "joints2d of lsp14 must have shape"),
        ({"skeleton": "nobody"}, "Unknown skeleton"),
        ({"center": np.zeros(3)}, "center must have shape"),
        ({"gender": "unknown"}, "gender must be one of male"),
        ({"extra": {"nothing": np.zeros(3)}}, "Unknown field 'nothing'"),
        ({"extra": {"valid": np.zeros(())}}, "do not keep the field valid"),
        ({"pose": np.zeros(69), "shape": np.zeros(10)}, "pose must have shape"),
    ],
)
def test_samples_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        encode_sample(lsp_sample(**changes))


def test_hmr_record_with_3d_labels_is_read():
    gt3d = np.arange(42, dtype=np.float32)
    serialized = hmr_record(
        **{
            "mosh/pose": [0.5] * 72,
            "mosh/shape": [0.25] * 10,
            "mosh/gt3d": gt3d,
            "meta/has_3d": [1],
            "image/face_pts": [1.0] * 5 + [2.0] * 5 + [1.0, 0.0, 1.0, 0.0, 0.0],
        }
    )
    record = parse_example(serialized)
    np.testing.assert_array_equal(record["joints3d"][:14], gt3d.reshape(14, 3))
    np.testing.assert_array_equal(record["joints3d_weight"], [1] * 14 + [0] * 5)
    np.testing.assert_array_equal(record["pose"], [0.5] * 72)
    np.testing.assert_array_equal(record["shape"], [0.25] * 10)
    assert record["pose_weight"] == 1
    assert record["body_model"] == b"smpl"
    np.testing.assert_array_equal(record["joints2d"][14:], [[1, 2]] * 5)
    np.testing.assert_array_equal(record["joints2d_weight"][14:], [1, 0, 1, 0, 0])
    assert record["silhouette"] == b""


def test_hmr_record_without_a_body_keeps_its_joints():
    serialized = hmr_record(
        **{
            "mosh/pose": [-1.0] * 72,
            "mosh/shape": [-1.0] * 10,
            "mosh/gt3d": [1.0] * 42,
            "meta/has_3d": [0],
        }
    )
    record = parse_example(serialized)
    assert record["pose_weight"] == 0
    assert record["body_model"] == b""
    np.testing.assert_array_equal(record["pose"], 0)
    assert record["joints3d_weight"].numpy().sum() == 14


def test_records_parsed_together_are_those_parsed_alone():
    body = {"mosh/pose": [0.5] * 72, "mosh/shape": [0.25] * 10, "mosh/gt3d": [2.0] * 42, "meta/has_3d": [1]}
    face = {"image/face_pts": [float(value) for value in range(15)]}
    records = [
        encode_sample(lsp_sample(scale=3.0)),
        hmr_record(**body),
        hmr_record(**(body | face | {"meta/has_3d": [0]})),
        encode_sample(
            lsp_sample(
                pose=np.arange(72),
                shape=np.arange(10),
                body_model="default",
                camera=np.array([1.0, 2.0, 3.0]),
            )
        ),
    ]
    together = parse_example(tf.constant(records))
    for index, record in enumerate(records):
        alone = parse_example(record)
        assert alone.keys() == together.keys()
        for key, value in alone.items():
            np.testing.assert_array_equal(together[key][index], value, err_msg=key)


def test_parse_example_has_static_shapes_in_a_graph():
    dataset = tf.data.Dataset.from_tensors(encode_sample(lsp_sample())).map(parse_example)
    shapes = {key: tuple(spec.shape) for key, spec in dataset.element_spec.items()}
    assert shapes == {
        "image": (),
        "silhouette": (),
        "silhouette_weight": (),
        "image_size": (2,),
        "joints2d": (19, 2),
        "joints2d_weight": (19,),
        "center": (2,),
        "scale": (),
        "head_size": (),
        "joints3d": (19, 3),
        "joints3d_weight": (19,),
        "pose": (72,),
        "shape": (10,),
        "pose_weight": (),
        "shape_weight": (),
        "camera_weight": (),
        "body_model": (),
        "camera": (3,),
        "name": (),
    }


def _in_skeleton(name, index, **changes):
    """A sample with 2D and 3D joints of one skeleton; one of its joints has no label."""
    length = len(skeletons.get(name))
    rng = np.random.default_rng(index)
    weights = (np.arange(length) != index).astype(np.float32)
    values = {
        "skeleton": name,
        "joints2d": rng.uniform(1, 6, (length, 2)).astype(np.float32),
        "visibility": weights,
        "skeleton3d": name,
        "joints3d": rng.normal(size=(length, 3)).astype(np.float32),
        "confidence3d": 0.5 * weights,
    }
    return lsp_sample(**(values | changes))


@pytest.mark.parametrize("wanted", ["h36m17", "h36m16", "mpii16", "coco17", "lsp14", "smpl24", "cocoplus19"])
def test_joints_come_in_the_skeleton_that_is_wanted_whatever_they_were_in(wanted):
    names = ["h36m17", "lsp14", "mpii16", "coco17", "cocoplus19", "smpl24"]
    samples = [_in_skeleton(name, 3 + index) for index, name in enumerate(names)]
    samples.append(
        _in_skeleton("mpii16", 9, skeleton3d="h36m17", joints3d=np.ones((17, 3)), confidence3d=None)
    )
    records = [encode_sample(sample) for sample in samples]
    together = parse_example(tf.constant(records), skeleton=wanted)
    target = skeletons.get(wanted)
    for row, sample in enumerate(samples):
        conversion = skeletons.convert(skeletons.get(sample.skeleton), target, missing=True)
        visible = conversion.confidences(sample.visibility) > 0
        np.testing.assert_array_equal(together["joints2d_weight"][row], visible)
        np.testing.assert_array_equal(
            together["joints2d"][row][visible], conversion.coordinates(sample.joints2d)[visible]
        )
        conversion = skeletons.convert(skeletons.get(sample.skeleton3d), target, missing=True)
        given = np.ones(17, np.float32) if sample.confidence3d is None else sample.confidence3d
        confidence = conversion.confidences(given)
        np.testing.assert_array_equal(together["joints3d_weight"][row], confidence)
        np.testing.assert_array_equal(
            together["joints3d"][row][confidence > 0],
            conversion.coordinates(sample.joints3d).astype(np.float32)[confidence > 0],
        )
        alone = parse_example(records[row], skeleton=wanted)
        for key, value in alone.items():
            np.testing.assert_array_equal(together[key][row], value, err_msg=key)


def test_records_of_hmr_come_in_any_skeleton():
    record = parse_example(hmr_record(**{"mosh/gt3d": np.arange(42.0)}), skeleton="mpii16")
    pelvis = skeletons.MPII16.index("pelvis")
    np.testing.assert_array_equal(record["joints2d"][pelvis], [2.5, 1.25])
    np.testing.assert_array_equal(record["joints3d"][pelvis], [7.5, 8.5, 9.5])
    assert record["joints2d_weight"].numpy().all()


def test_own_joints_that_do_not_fit_their_skeleton_are_not_taken():
    example = tf.train.Example.FromString(encode_sample(_in_skeleton("mpii16", 3)))
    expected = parse_example(example.SerializeToString(), skeleton="mpii16")["joints2d"]
    del example.features.feature["keypoints/xyv"].float_list.value[5:]
    record = parse_example(example.SerializeToString(), skeleton="mpii16")
    wrist = skeletons.MPII16.index("left_wrist")
    np.testing.assert_array_equal(record["joints2d"][wrist], expected[wrist])
    assert np.isfinite(record["joints2d"]).all()


def test_head_size_comes_back():
    assert parse(lsp_sample(head_size=31.5))["head_size"] == 31.5
    assert parse(lsp_sample())["head_size"] == 0


@pytest.mark.data
def test_records_of_the_original_code_are_read(data_dir):
    path = data_dir / "samples" / "original_lsp_16.tfrecords"
    records = list(tf.data.TFRecordDataset(str(path)).map(parse_example))
    assert len(records) == 16
    for record in records:
        image = tf.io.decode_image(record["image"])
        mask = tf.io.decode_image(record["silhouette"], channels=1)
        assert image.shape[:2] == mask.shape[:2] == tuple(record["image_size"].numpy())
        assert 0.05 < np.mean(mask.numpy() >= 128) < 0.7
        visible = record["joints2d_weight"].numpy() > 0
        assert visible[:14].sum() >= 8
        assert not visible[14:].any()
        inside = record["joints2d"].numpy()[visible]
        assert (inside >= 0).all()
        assert (inside < record["image_size"].numpy()[::-1]).all()


def test_joints_come_by_the_published_table_that_is_asked_for():
    names = ["h36m17", "lsp14", "mpii16"]
    samples = [_in_skeleton(name, 3 + index) for index, name in enumerate(names)]
    records = tf.constant([encode_sample(sample) for sample in samples])
    keys = ("joints2d", "joints3d")
    plain = schema.parse_examples(records, keys, skeleton2d="mpii16")
    parsed = schema.parse_examples(records, keys, skeleton2d="mpii16", joint_table="pose_hg_3d")
    target = skeletons.MPII16
    table = skeletons.convert(skeletons.H36M17, target, table="pose_hg_3d")
    np.testing.assert_array_equal(parsed["joints3d_weight"][0], table.confidences(samples[0].confidence3d))
    known = parsed["joints3d_weight"][0] > 0
    np.testing.assert_array_equal(
        parsed["joints3d"][0][known], table.coordinates(samples[0].joints3d).astype(np.float32)[known]
    )
    # Sets that the table has no entry for are converted by the rules.
    for key in ("joints2d", "joints2d_weight", "joints3d", "joints3d_weight"):
        np.testing.assert_array_equal(parsed[key][1:], plain[key][1:])
    with pytest.raises(ValueError, match="no table 'mine' of joints; there are pose_hg_3d, spin"):
        schema.parse_examples(records, keys, skeleton2d="mpii16", joint_table="mine")
