import dataclasses

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from hpe import fields, pipeline, skeletons
from hpe.errors import UserError
from hpe.fields import Codec, Field, Kind, Needs, Stored
from hpe.geometry.crops import box_crop
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.image_source import ImageSource
from hpe.pipeline.images import USUAL, evaluation_batches, steps_per_epoch, training_batches
from hpe.pipeline.spec import parse_specs
from hpe.records import framing
from hpe.records.reading import find_shards
from hpe.records.writing import write_dataset
from tests.pipeline.people import encode, evaluated, make_sample, textured_image, write_shards

READ_RECORDS = framing.read_records

CONFIG = PipelineConfig(img_size=32, shuffle_buffer=7)
# Pictures, names and places alone, for tests of order and augmentation: half of what a pipeline of all costs.
LEAN = Needs((), "cocoplus19")
KEYS = {
    "image": ((32, 32, 3), np.uint8),
    "image_to_crop": ((2, 3), np.float32),
    "image_size": ((2,), np.int32),
    "intrinsics": ((3, 3), np.float32),
    "intrinsics_weight": ((), np.float32),
    "distortion": ((5,), np.float32),
    "camera_rotation": ((3, 3), np.float32),
    "camera_rotation_weight": ((), np.float32),
    "camera_translation": ((3,), np.float32),
    "camera_translation_weight": ((), np.float32),
    "frame": ((), np.int64),
    "frames_per_second": ((), np.float32),
    **dict.fromkeys(("body_model", "gender", "camera_name", "subject", "action", "sequence"), ((), object)),
    "silhouette": ((32, 32), np.uint8),
    "silhouette_weight": ((), np.float32),
    "joints2d": ((19, 2), np.float32),
    "joints2d_weight": ((19,), np.float32),
    "joints3d": ((19, 3), np.float32),
    "joints3d_weight": ((19,), np.float32),
    "head_size": ((), np.float32),
    "pose": ((72,), np.float32),
    "shape": ((10,), np.float32),
    "pose_weight": ((), np.float32),
    "shape_weight": ((), np.float32),
    "camera": ((3,), np.float32),
    "camera_weight": ((), np.float32),
    "name": ((), object),
    "valid": ((), np.float32),
}


def _take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def _assert_equal(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two datasets: 13 records in three files, and 6 in one."""
    folder = tmp_path_factory.mktemp("records")
    others = [make_sample(100 + index) for index in range(6)]
    return [write_shards(folder, [5, 5, 3]), write_shards(folder, [6], name="others", samples=others)]


# Building a pipeline takes a second, reading from one that is there nearly nothing.
@pytest.fixture(scope="module")
def training(shards):
    """Training batches of seed 1, and the first 40 of them."""
    dataset = training_batches(
        shards, dataclasses.replace(CONFIG, num_parallel_calls=1), batch_size=4, seed=1
    )
    return dataset, _take(dataset, 40)


@pytest.fixture(scope="module")
def with_ratios(shards):
    """The first batches of seed 1 with three in four of the second dataset."""
    config = dataclasses.replace(CONFIG, dataset_ratios=("1", "3"))
    return config, _take(training_batches(shards, config, batch_size=4, seed=1, needs=LEAN), 33)


@pytest.fixture(scope="module")
def evaluation(shards):
    """Evaluation batches, and all of them."""
    dataset = evaluation_batches(shards, CONFIG, batch_size=8)
    return dataset, _take(dataset, -1)


@pytest.mark.parametrize(("kind", "size"), [("training", 4), ("evaluation", 8)])
def test_batches_have_fixed_keys_and_static_shapes(request, kind, size):
    dataset, (batch, *_) = request.getfixturevalue(kind)
    assert dataset.element_spec.keys() == KEYS.keys()
    for key, (shape, dtype) in KEYS.items():
        assert dataset.element_spec[key].shape == (size, *shape), key
        assert batch[key].shape == (size, *shape), key
        assert batch[key].dtype == dtype, key
    assert set(np.unique(batch["silhouette"])) == {0, 1}


def test_an_epoch_has_every_record_at_most_once_and_mixes_the_datasets(shards, training):
    assert steps_per_epoch(shards, 4) == 4
    _, batches = training
    epochs = [np.concatenate([b["name"] for b in batches[i : i + 4]]) for i in (0, 4)]
    for names in epochs:
        assert len(set(names)) == 16
        assert any(name >= b"im0100" for name in names[:8])
        assert any(name < b"im0100" for name in names[:8])
    assert list(epochs[0]) != list(epochs[1])
    assert len(set(np.concatenate([b["name"] for b in batches]))) == 19


def test_batches_are_a_function_of_the_seed_whatever_the_threads(shards, training):
    _, first = training
    tf.random.set_seed(99)
    np.random.seed(99)
    many = dataclasses.replace(CONFIG, num_parallel_calls=6)
    _assert_equal(first[:6], _take(training_batches(shards, many, batch_size=4, seed=1), 6))
    other = _take(training_batches(shards, CONFIG, batch_size=4, seed=6, needs=LEAN), 6)
    assert any(list(a["name"]) != list(b["name"]) for a, b in zip(first[:6], other, strict=True))


@pytest.mark.parametrize("start", [3, 4, 9], ids=["in an epoch", "at its end", "in the third"])
def test_resuming_gives_the_batches_of_an_uninterrupted_run(shards, training, start):
    resumed = _take(training_batches(shards, CONFIG, batch_size=4, seed=1, start_step=start), 13 - start)
    _assert_equal(training[1][start:13], resumed)


@pytest.mark.parametrize("ratios", [False, True])
def test_shards_of_a_batch_are_the_batch(request, shards, ratios):
    config, whole = request.getfixturevalue("with_ratios" if ratios else "training")
    config = config if ratios else CONFIG
    # Of two readers the second, and of four one in the middle.
    num_shards, index = (2, 1) if ratios else (4, 2)
    options = {"start_step": 3, "shard_index": index, "num_shards": num_shards}
    options["needs"] = LEAN if ratios else USUAL
    rows = slice(4 // num_shards * index, 4 // num_shards * (index + 1))
    expected = [{key: values[rows] for key, values in batch.items()} for batch in whole[3:8]]
    _assert_equal(expected, _take(training_batches(shards, config, batch_size=4, seed=1, **options), 5))


def test_records_of_other_shards_are_not_parsed(tmp_path):
    """With a damaged record the shard that has it fails, and the other does not."""
    samples = [make_sample(0), make_sample(1, image=b"no image", mask=None)]
    shard = write_shards(tmp_path, [2], samples=samples)
    outcomes = set()
    for index in range(2):
        options = {"shard_index": index, "num_shards": 2, "needs": LEAN}
        dataset = training_batches([shard], CONFIG, batch_size=2, seed=0, **options)
        try:
            outcomes.add(_take(dataset, 1)[0]["name"].item())
        except tf.errors.InvalidArgumentError:
            outcomes.add("failed")
    assert outcomes == {b"im0000.jpg", "failed"}


def test_resuming_with_ratios_gives_the_batches_of_an_uninterrupted_run(shards, with_ratios):
    config, whole = with_ratios
    resumed = training_batches(shards, config, batch_size=4, seed=1, start_step=17, needs=LEAN)
    _assert_equal(whole[17:], _take(resumed, 16))
    # Of 19 records six are of the second dataset, and three in four are drawn of it.
    assert [sum(name >= b"im0100" for name in batch["name"]) for batch in whole] == [3] * 33


def test_ratios_must_be_as_many_as_datasets(shards):
    config = dataclasses.replace(CONFIG, dataset_ratios=("1", "2", "3"))
    with pytest.raises(
        UserError, match=r"dataset_ratios=1,2,3: has 3 numbers.* 2 `datasets`: people, others"
    ):
        training_batches(shards, config, batch_size=4, seed=0)


def test_the_same_record_is_augmented_anew_in_every_epoch(tmp_path):
    shard = write_shards(tmp_path, [1])
    batches = _take(training_batches([shard], CONFIG, batch_size=1, seed=0), 12)
    assert len({batch["joints2d"].tobytes() for batch in batches}) == 12
    plain = dataclasses.replace(CONFIG, trans_max=0, scale_min=1.0, scale_max=1.0, flip=False)
    steady = _take(training_batches([shard], plain, batch_size=1, seed=0), 3)
    for batch in steady:
        _assert_equal([batch], [evaluated(shard, CONFIG)])


def test_labels_fit_each_other_under_augmentation(shards):
    """The camera of the crop projects the 3D joints onto the 2D joints, mirrored or not."""
    config = dataclasses.replace(CONFIG, img_size=224)
    for batch in _take(training_batches(shards, config, batch_size=4, seed=3), 8):
        assert batch["camera_weight"].all()
        camera = batch["camera"][:, None]
        projected = camera[..., :1] * (batch["joints3d"][..., :2] + camera[..., 1:])
        pixels = np.abs(projected - batch["joints2d"]) * 112
        assert pixels.max() < 1e-3


def test_keypoints_stay_on_the_picture_under_augmentation(tmp_path):
    """Every joint is drawn as a dot of its own brightness; a crop has the dot where it says the joint is."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(3):
        image = np.zeros((160, 160, 3), np.uint8)
        joints = np.zeros((19, 2), np.float32)
        joints[:4] = np.add([[50, 50], [110, 50], [50, 110], [110, 110]], rng.uniform(-12, 12, (4, 2)))
        for joint in joints[:4]:
            rows, columns = np.mgrid[:160, :160]
            blob = 255 * np.exp(-((columns - joint[0]) ** 2 + (rows - joint[1]) ** 2) / 8)
            image = np.maximum(image, blob[..., None].astype(np.uint8))
        mask = np.where(image[..., 0] > 127, 255, 0).astype(np.uint8)
        visibility = (np.arange(19) < 4).astype(np.float32)
        changes = {
            "image": encode(image, ".jpg"),
            "mask": encode(mask),
            "height": 160,
            "width": 160,
            "joints2d": joints,
            "visibility": visibility,
            "center": np.array([80, 80], np.float32),
        }
        samples.append(make_sample(index, **changes))
    shard = write_shards(tmp_path, [3], samples=samples)
    config = PipelineConfig(img_size=224, shuffle_buffer=3)
    mirrored = 0
    for batch in _take(training_batches([shard], config, batch_size=3, seed=0), 8):
        for row in range(3):
            seen = np.column_stack([batch["joints2d"][row], batch["joints2d_weight"][row]])
            # Ankles and knees: the mirrored picture has them on the other side.
            assert sorted(np.flatnonzero(seen[:, 2])) in ([0, 1, 2, 3], [2, 3, 4, 5])
            mirrored += seen[5, 2] > 0
            dots, count = ndimage.label(batch["image"][row, ..., 0] > 60)
            centers = ndimage.center_of_mass(batch["image"][row, ..., 0], dots, range(1, count + 1))
            blobs, masks = ndimage.label(batch["silhouette"][row])
            mask_centers = ndimage.center_of_mass(batch["silhouette"][row], blobs, range(1, masks + 1))
            for joint in seen[seen[:, 2] > 0]:
                pixel = (joint[1::-1] + 1) * 112
                if (pixel > 10).all() and (pixel < 214).all():
                    assert np.linalg.norm(np.array(centers) - pixel, axis=1).min() < 0.25
                    assert np.linalg.norm(np.array(mask_centers) - pixel, axis=1).min() < 0.6
    assert 4 < mirrored < 20


def test_evaluation_has_every_record_in_order_and_fills_up_the_last_batch(evaluation):
    dataset, batches = evaluation
    assert len(batches) == 3
    valid = np.concatenate([batch["valid"] for batch in batches])
    names = np.concatenate([batch["name"] for batch in batches])
    assert valid.tolist() == [1] * 19 + [0] * 5
    assert list(names[:19]) == [f"im{i:04d}.jpg".encode() for i in [*range(13), *range(100, 106)]]
    for key in KEYS.keys() - {"name"}:
        assert not batches[-1][key][3:].any(), key
    _assert_equal(batches, _take(dataset, -1))


def test_evaluation_crops_as_a_preview_of_the_same_box_does(tmp_path):
    """Pixels too: the picture of a frame that is cropped there is the picture that is evaluated here."""
    people = [make_sample(0), make_sample(1, center=np.float32([50.25, 61.5]), scale=70.5)]
    shard = write_shards(tmp_path, [2], samples=people)
    config = PipelineConfig(img_size=224, box_share=0.75)
    batch = evaluated(shard, config)
    for row, (sample, side) in enumerate(zip(people, (179.2, 70.5), strict=True)):
        x, y = sample.center - (side - 1) / 2
        crop = box_crop((x, y, side, side), 224, box_share=0.75)
        np.testing.assert_allclose(batch["image_to_crop"][row], crop.image_to_crop, atol=1e-3)
        image = cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert np.abs(batch["image"][row].astype(int) - crop.take(image)).max() <= 1
        assert batch["image_size"][row].tolist() == [sample.height, sample.width]
        pixels = sample.joints2d @ crop.image_to_crop[:, :2].T + crop.image_to_crop[:, 2]
        np.testing.assert_allclose(batch["joints2d"][row], 2 * pixels / 224 - 1, atol=1e-5)


def test_what_a_sample_lacks_is_zero(tmp_path):
    bare = dict.fromkeys(
        ("mask", "skeleton3d", "joints3d", "confidence3d", "pose", "shape", "body_model", "camera")
    )
    shard = write_shards(tmp_path, [1], samples=[make_sample(0, **bare)])
    batch = evaluated(shard, CONFIG)
    for key in ("silhouette", "joints3d", "joints3d_weight", "pose", "shape", "camera"):
        assert not batch[key].any(), key
    for key in ("silhouette_weight", "joints3d_weight", "pose_weight", "shape_weight", "camera_weight"):
        assert not batch[key].any(), key


def needing(**changes):
    return dataclasses.replace(USUAL, **changes)


def test_masks_that_are_not_wanted_change_nothing_else(shards, training):
    wanted = training[1][:2]
    bare = needing(fields=tuple(key for key in USUAL.fields if key != "silhouette"))
    spared = _take(training_batches(shards, CONFIG, batch_size=4, seed=1, needs=bare), 2)
    for batch, other in zip(wanted, spared, strict=True):
        assert batch["silhouette_weight"].all()
        assert batch.keys() - other.keys() == {"silhouette", "silhouette_weight"}
        _assert_equal([{key: batch[key] for key in other}], [other])


def test_body_parameters_of_another_model_count_as_absent(tmp_path):
    names = ("default", "smpl", None)
    people = [make_sample(0, body_model=name, name=f"{name}.jpg") for name in names]
    shard = write_shards(tmp_path, [3], samples=people)

    def bodies(batch):
        order = [batch["name"].tolist().index(f"{name}.jpg".encode()) for name in names]
        absent = batch["pose_weight"] == 0
        assert not batch["pose"][absent].any()
        assert not batch["shape"][absent].any()
        assert batch["pose"][~absent].any(axis=1).all()
        # What does not depend on a body model stays.
        assert batch["joints3d_weight"].any(axis=1).all()
        assert batch["silhouette_weight"].all()
        return batch["pose_weight"][order].tolist()

    for body_models, expected in (
        ((), [1, 1, 1]),
        (("default",), [1, 0, 0]),
        (("default", "smpl"), [1, 1, 0]),
        (("other",), [0, 0, 0]),
    ):
        needs = needing(body_models=body_models)
        assert bodies(evaluated(shard, CONFIG, needs)) == expected
        if len(body_models) == 2:
            trained = training_batches([shard], CONFIG, batch_size=3, seed=0, needs=needs)
            assert bodies(next(trained.as_numpy_iterator())) == expected


def test_shapes_of_men_and_women_are_those_of_other_bodies(tmp_path):
    """A system that asks for the gender knows whose they are; poses mean nearly the same in all."""
    genders = ("male", "neutral", "")
    people = [make_sample(0, body_model="smpl", gender=gender, name=f"{gender}.jpg") for gender in genders]
    shard = write_shards(tmp_path, [3], samples=people)
    for asked, expected in (((), [0, 1, 1]), (("gender",), [1, 1, 1])):
        needs = Needs(("pose", "shape", *asked), "cocoplus19", body_models=("smpl",))
        batch = evaluated(shard, CONFIG, needs)
        assert batch["shape_weight"].tolist() == expected
        assert batch["shape"].any(axis=1).tolist() == [weight > 0 for weight in expected]
        assert batch["pose_weight"].all()
        assert ("gender" in batch) == bool(asked)

    # Who has their bodies knows their shapes, too.
    needs = Needs(("pose", "shape", "body_model"), "cocoplus19", body_models=("smpl", "smpl_male"))
    batch = evaluated(shard, CONFIG, needs)
    assert batch["body_model"].tolist() == [b"smpl_male", b"smpl", b"smpl"]
    assert batch["shape_weight"].tolist() == [1, 1, 1]
    needs = dataclasses.replace(needs, body_models=("smpl", "smpl_female"))
    assert evaluated(shard, CONFIG, needs)["shape_weight"].tolist() == [0, 1, 1]

    man = [make_sample(0, body_model="smpl_male", gender="male")]
    needs = Needs(("pose", "shape"), "cocoplus19", body_models=("smpl_male",))
    shard = write_shards(tmp_path, [1], samples=man, name="men")
    batch = evaluated(shard, CONFIG, needs)
    assert batch["shape_weight"].tolist() == [1]


def test_png_images_and_boxes_are_read(tmp_path):
    image = np.full((400, 300, 3), 90, np.uint8)
    changes = {
        "image": encode(image),
        "mask": None,
        "height": 400,
        "width": 300,
        "scale": 250.0,
        "center": np.array([150, 200], np.float32),
    }
    shard = write_shards(tmp_path, [1], samples=[make_sample(0, **changes)])
    batch = evaluated(shard, CONFIG)
    assert (batch["image"] == 90).all()


def test_a_batch_larger_than_the_data_is_refused_with_both_numbers(shards):
    for function in (
        lambda: steps_per_epoch(shards, 20),
        lambda: training_batches(shards, CONFIG, batch_size=20, seed=0),
    ):
        with pytest.raises(UserError, match=r"batch_size=20: .* people, others has 19 records"):
            function()


@pytest.mark.data
def test_records_of_the_original_code_are_read_as_they_are(data_dir):
    path = data_dir / "samples" / "original_lsp_16.tfrecords"
    shards = find_shards(data_dir, [str(path)])
    config = PipelineConfig(shuffle_buffer=16)
    (batch,) = _take(evaluation_batches(shards, config, batch_size=16), -1)
    assert batch["name"][0] == b"im0001.jpg"
    assert batch["valid"].all()
    assert batch["silhouette_weight"].all()
    assert not batch["pose_weight"].any()
    visible = batch["joints2d_weight"] > 0
    assert visible[:, :14].mean() > 0.8
    assert not visible[:, 14:].any()
    # People are about 150 pixels tall, in the middle, and their joints lie on their masks.
    heights = [np.ptp(rows[seen, 1]) * 112 for rows, seen in zip(batch["joints2d"], visible, strict=True)]
    assert 90 < np.median(heights) < 170
    pixels = np.round((batch["joints2d"] + 1) * 112).astype(int).clip(0, 223)
    samples = np.arange(16)[:, None]
    on_mask = batch["silhouette"][samples, pixels[..., 1], pixels[..., 0]]
    assert on_mask[visible].mean() > 0.85
    for trained in _take(training_batches(shards, config, batch_size=8, seed=0), 3):
        pixels = np.round((trained["joints2d"] + 1) * 112).astype(int).clip(0, 223)
        on_mask = trained["silhouette"][np.arange(8)[:, None], pixels[..., 1], pixels[..., 0]]
        assert on_mask[trained["joints2d_weight"] > 0].mean() > 0.8


def _native(name, index, **changes):
    """A person in a joint set of its own, in 2D and 3D."""
    length = len(skeletons.get(name))
    rng = np.random.default_rng(index)
    values = {
        "skeleton": name,
        "joints2d": rng.uniform(10, 80, (length, 2)).astype(np.float32),
        "visibility": np.ones(length, np.float32),
        "skeleton3d": name,
        "joints3d": rng.normal(size=(length, 3)).astype(np.float32),
        "confidence3d": rng.uniform(0.5, 1, length).astype(np.float32),
        "scale": 100.0,
    }
    return make_sample(index, **(values | changes))


@pytest.mark.parametrize("wanted", ["h36m17", "mpii16", "coco17", "lsp14"])
def test_joints_of_mixed_datasets_come_in_the_skeleton_that_is_wanted(tmp_path, wanted):
    names = ["h36m17", "lsp14", "mpii16", "coco17"]
    samples = [_native(name, index) for index, name in enumerate(names)]
    shard = write_shards(tmp_path, [4], samples=samples)
    batch = evaluated(shard, CONFIG, needing(skeleton2d=wanted))
    target = skeletons.get(wanted)
    assert batch["joints2d"].shape == (4, len(target), 2)
    for row, sample in enumerate(samples):
        conversion = skeletons.convert(skeletons.get(sample.skeleton), target, missing=True)
        np.testing.assert_array_equal(batch["joints2d_weight"][row], conversion.weights)
        np.testing.assert_array_equal(
            batch["joints3d_weight"][row], conversion.confidences(sample.confidence3d)
        )
        # The box of 100 pixels takes 0.8 of the crop, whose 125 pixels become 62 blocks of two.
        corner = np.floor((sample.center + 0.5 - 62) / 2 + 0.5) * 2
        pixels = (conversion.coordinates(sample.joints2d) + 0.5 - corner) / 62 - 1 - 1 / 32
        error = (batch["joints2d"][row] - pixels)[conversion.weights > 0]
        assert np.abs(error).max() < 1e-4
        np.testing.assert_allclose(batch["joints3d"][row], conversion.coordinates(sample.joints3d), atol=1e-6)


def test_mirrored_joints_change_sides_in_their_own_skeleton(tmp_path):
    shard = write_shards(tmp_path, [1], samples=[_native("h36m17", 0)])
    config = dataclasses.replace(CONFIG, trans_max=0, scale_min=1.0, scale_max=1.0)
    options = {"batch_size": 1, "needs": needing(skeleton2d="h36m17")}
    plain = evaluated(shard, config, options["needs"])
    flip = list(skeletons.H36M17.flip)
    mirrored = 0
    for batch in _take(training_batches([shard], config, seed=0, **options), 8):
        if (batch["joints3d"] == plain["joints3d"]).all():
            np.testing.assert_array_equal(batch["joints2d"], plain["joints2d"])
            continue
        np.testing.assert_allclose(batch["joints3d"], plain["joints3d"][:, flip] * [-1, 1, 1], atol=1e-6)
        np.testing.assert_array_equal(batch["joints3d_weight"], plain["joints3d_weight"][:, flip])
        expected = plain["joints2d"][:, flip] * [-1, 1] - [2 / 32, 0]
        np.testing.assert_allclose(batch["joints2d"], expected, atol=1e-5)
        mirrored += 1
    assert 0 < mirrored < 8


def test_single_samples_are_those_of_an_evaluation_and_nothing_else_is_read(shards, monkeypatch):
    source = ImageSource(shards, CONFIG, USUAL)
    (batch,) = source.evaluation_batches(batch_size=source.count).as_numpy_iterator()
    read = []
    monkeypatch.setattr(
        framing, "read_records", lambda path, indices: read.append(path) or READ_RECORDS(path, indices)
    )
    found = source.samples([17, 4, 5, 0])
    assert list(found) == [17, 4, 5, 0]
    for index, one in found.items():
        _assert_equal(
            [{key: values.numpy()[0] for key, values in one.items()}],
            [{k: v[index] for k, v in batch.items()}],
        )
    own = [shards[1].files[0], shards[0].files[0], shards[0].files[1], shards[0].files[0]]
    assert list(dict.fromkeys(read)) == list(dict.fromkeys(own))
    with pytest.raises(IndexError):
        source.samples([source.count])


def test_sources_are_opened_by_the_kind_of_their_input(tmp_path, shards):
    file = shards[0].files[0]
    source = pipeline.open("image", tmp_path, [file], CONFIG, needs=USUAL)
    assert (source.unit, source.count, source.statistics()) == ("image", 5, {})
    with pytest.raises(UserError, match="holds no records of pose sequences"):
        pipeline.open("joints2d", tmp_path, [file], pipeline.PosePipelineConfig(), needs=USUAL)
    with pytest.raises(ValueError, match="input_kind must be one of image, joints2d"):
        pipeline.open("sound", tmp_path, [file], CONFIG, needs=USUAL)


def test_only_what_is_needed_is_in_a_batch_and_a_registered_field_needs_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(fields, "TABLE", dict(fields.TABLE))
    heat = fields.register(
        Field(
            key="heat",
            shape=("S", "S"),
            dtype="float32",
            kind=Kind.MAP,
            weight="heat_weight",
            background=-1.0,
            smooth=True,
            stored=Stored("maps/heat", Codec.PNG, scale=0.5),
            doc="how warm it is",
        )
    )
    paws = fields.register(
        Field(
            key="paws",
            shape=(2, 2),
            dtype="float32",
            kind=Kind.POINTS2D,
            weight="paws_weight",
            flip=(1, 0),
            stored=Stored("own/paws", Codec.FLOATS),
            doc="two paws",
        )
    )
    age = fields.register(
        Field(
            key="age",
            shape=(),
            dtype="float32",
            kind=Kind.CONSTANT,
            stored=Stored("own/age", Codec.FLOATS),
            doc="years",
        )
    )
    map_, points = np.full((120, 100), 20.0, np.float32), np.float32([[40, 50], [70, 90]])
    extra = {"heat": map_, "paws": points, "age": np.float32(30)}
    sizes = {"image": encode(textured_image(0, 120, 100)), "mask": None, "height": 120, "width": 100}
    people = [make_sample(0, extra=extra, **sizes), make_sample(1)]
    shard = write_shards(tmp_path, [2], samples=people)
    needs = Needs((heat.key, paws.key, age.key), "lsp14")
    (batch,) = ImageSource([shard], CONFIG, needs).evaluation_batches(batch_size=2).as_numpy_iterator()
    assert batch.keys() == {
        *("image", "image_to_crop", "image_size", "name", "valid"),
        *("heat", "heat_weight", "paws", "paws_weight", "age"),
    }
    assert batch["age"].tolist() == [30, 0]
    assert batch["heat_weight"].tolist() == [1, 0]
    assert set(np.unique(batch["heat"][0]).round(2)) >= {-1.0, 20.0}
    matrix = batch["image_to_crop"][0]
    expected = 2 * (points @ matrix[:, :2].T + matrix[:, 2]) / 32 - 1
    np.testing.assert_allclose(batch["paws"], [expected, np.zeros((2, 2))], atol=1e-5)
    for batch in _take(training_batches([shard], CONFIG, batch_size=2, seed=0, needs=needs), 6):
        row = batch["name"].tolist().index(b"im0000.jpg")
        matrix = batch["image_to_crop"][row]
        mirrored = matrix[0, 0] < 0
        expected = 2 * (points[:: -1 if mirrored else 1] @ matrix[:, :2].T + matrix[:, 2]) / 32 - 1
        np.testing.assert_allclose(batch["paws"][row], expected, atol=1e-5)


def test_every_dataset_has_its_own_augmentation_whether_it_has_a_share_or_not(shards):
    calm = "flip=false,rotation_max=0,trans_max=0,scale_min=1,scale_max=1"
    lively = dataclasses.replace(CONFIG, rotation_max=60)
    for names in (("people", "others"), ("people:1", "others:1")):
        specs = parse_specs([f"{names[0]}", *calm.split(","), names[1]])
        still, moved = [], []
        dataset = training_batches(shards, lively, batch_size=4, seed=0, specs=specs, needs=LEAN)
        for batch in _take(dataset, 12):
            for name, matrix in zip(batch["name"], batch["image_to_crop"], strict=True):
                (still if name < b"im0100" else moved).append((matrix[:, :2].round(6) + 0.0).tobytes())
        assert len(set(still)) == 1
        assert len(set(moved)) > 4


def test_shares_of_datasets_are_exact_and_resumed_exactly(shards):
    options = {"batch_size": 4, "seed": 1, "specs": parse_specs(["people:0.3", "others:0.7"]), "needs": LEAN}
    whole = _take(training_batches(shards, CONFIG, **options), 15)
    counts = [sum(name < b"im0100" for name in batch["name"]) for batch in whole]
    assert set(counts) == {1, 2}
    assert sum(counts[:5]) == sum(counts[5:10]) == sum(counts[10:]) == 6
    resumed = training_batches(shards, CONFIG, **options, start_step=8)
    _assert_equal(whole[8:], _take(resumed, 7))


@pytest.mark.parametrize("texts", [("people", "others"), ("people:1", "others:3")])
def test_files_are_dealt_out_to_readers_who_shuffle_their_own_and_resume_exactly(tmp_path, texts):
    others = [make_sample(100 + index) for index in range(8)]
    shards = [
        write_shards(tmp_path, [5, 3, 4]),
        write_shards(tmp_path, [3, 5], name="others", samples=others),
    ]
    options = {"batch_size": 4, "seed": 1, "specs": parse_specs(texts), "num_shards": 2, "needs": LEAN}
    names = []
    for reader in range(2):
        mine = {**options, "shard_index": reader}
        whole = _take(training_batches(shards, CONFIG, **mine), 12)
        assert all(len(batch["name"]) == 2 for batch in whole)
        if reader:
            _assert_equal(whole[7:], _take(training_batches(shards, CONFIG, **mine, start_step=7), 5))
        names.append({name for batch in whole for name in batch["name"]})
    # Nobody sees what the other reads, and together they see (almost) everything.
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) >= (20 if texts[0] == "people" else 14)
    for part in names:
        assert any(name < b"im0100" for name in part)
        assert any(name >= b"im0100" for name in part)


def test_rows_of_different_readers_are_moved_differently(tmp_path):
    shard = write_shards(tmp_path, [1, 1], samples=[make_sample(0), make_sample(0)])
    options = {"batch_size": 2, "seed": 0, "num_shards": 2, "needs": LEAN}
    first, second = (
        _take(training_batches([shard], CONFIG, **options, shard_index=reader), 4) for reader in range(2)
    )
    assert all((a["image_to_crop"] != b["image_to_crop"]).any() for a, b in zip(first, second, strict=True))


def test_people_of_one_picture_are_read_as_those_with_pictures_of_their_own(tmp_path):
    people = [make_sample(index // 3, name=f"{index}") for index in range(12)]
    batches = {}
    for name, share in (("apart", None), ("together", 0)):
        write_dataset(
            people, tmp_path, name, skeleton="cocoplus19", shard_size=5, share_above=share, progress=False
        )
        shards = find_shards(tmp_path, [name])
        assert shards[0].shares_pictures == (share is not None)
        training = training_batches(shards, PipelineConfig(img_size=32), batch_size=4, seed=1, start_step=1)
        evaluation = evaluation_batches(shards, PipelineConfig(img_size=32), batch_size=5)
        batches[name] = [*training.take(3).as_numpy_iterator(), *evaluation.as_numpy_iterator()]
    for apart, together in zip(*batches.values(), strict=True):
        for key, value in apart.items():
            np.testing.assert_array_equal(together[key], value, err_msg=key)


def test_a_dataset_may_have_its_own_table_of_joints(tmp_path):
    theirs = write_shards(
        tmp_path, [2], name="theirs", samples=[_native("h36m17", index) for index in range(2)]
    )
    ours = write_shards(tmp_path, [2], samples=[_native("h36m17", 10 + index) for index in range(2)])
    specs = parse_specs(["theirs", "joints=pose_hg_3d", "people"])
    needs = Needs(("joints2d", "joints3d"), "mpii16")
    plain = dataclasses.replace(CONFIG, flip=False)
    (batch,) = _take(
        training_batches([theirs, ours], plain, batch_size=4, seed=0, specs=specs, needs=needs), 1
    )
    for row, name in enumerate(batch["name"].astype(str)):
        index = int(name.removeprefix("im").removesuffix(".jpg")) if name.startswith("im") else None
        table = "pose_hg_3d" if index is not None and index < 10 else None
        sample = _native("h36m17", index)
        conversion = skeletons.convert(skeletons.H36M17, skeletons.MPII16, missing=True, table=table)
        np.testing.assert_allclose(batch["joints3d"][row], conversion.coordinates(sample.joints3d), atol=1e-6)
