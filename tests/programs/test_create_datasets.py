"""create_datasets from flags to records: selection, aliases, summary, bad folders, equal bytes."""

import os
import pathlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from hpe import fields, skeletons
from hpe.errors import UserError
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.images import evaluation_batches
from hpe.programs import create_datasets
from hpe.programs.create_datasets import create
from hpe.programs.create_datasets import settings as configured
from hpe.programs.creation_summary import format_summary
from hpe.records.mocap import find_frames
from hpe.records.poses import find_sequences, stream_sequences
from hpe.records.reading import find_shards, opener
from hpe.records.schema import parse_examples
from tests import dataset_folders, h36m_folders, people_folders
from tests.conftest import PROJECT_ROOT
from tests.programs.running import run as run_program


@pytest.fixture
def folders(tmp_path):
    """LSP, LSP-extended and UP under one roof."""
    return dataset_folders.write_lsp(tmp_path), dataset_folders.write_lsp_extended(tmp_path)


@pytest.fixture
def settings(folders, tmp_path):
    lsp, extended = folders
    return {
        "lsp_dir": str(lsp.root),
        "lsp_ext_dir": str(extended.root),
        "up_dir": str(tmp_path / "upi-s1h"),
        "data_dir": str(tmp_path / "records"),
        "num_workers": 1,
    }


def run(settings, **more):
    return create(*configured(**(settings | more)), progress=False)


def command_line(*arguments, cwd=PROJECT_ROOT):
    # KERAS_BACKEND and the like come along; the sources are found wherever the tests run from.
    paths = os.pathsep.join([str(PROJECT_ROOT / "src"), str(PROJECT_ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "create_datasets", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": paths},
        timeout=300,
    )


def contents(directory) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in pathlib.Path(directory).rglob("*")
        if path.is_file()
    }


def records(settings, name):
    (found,) = find_shards(settings["data_dir"], [name], verify=True)
    return [
        {key: value.numpy() for key, value in parsed(record).items()}
        for record in tf.data.Dataset.from_tensor_slices(list(found.files)).flat_map(opener([found]))
    ]


def parsed(record):
    keys = ("image", "silhouette", "joints2d", "joints3d", "pose", "camera", "image_size", "name")
    return parse_examples(record, keys, skeleton2d="cocoplus19")


def test_lsp_train_val_and_extended(settings, folders):
    train, val, extended = run(settings, lsp=True, lsp_val=True, lsp_ext=True)
    assert (train.read, train.kept, train.with_mask) == (1000, 4, 2)
    assert (val.read, val.kept, val.with_mask) == (1000, 1, 0)
    assert (extended.read, extended.kept, extended.with_mask) == (10000, 2, 1)
    assert {reason: len(names) for reason, names in extended.skipped.items()} == {
        "image is missing": 9997,
        "no visible joint": 1,
    }
    (shards,) = find_shards(settings["data_dir"], ["lsp_train"])
    assert shards.manifest.provenance.source.startswith("Leeds Sports Pose")
    assert shards.manifest.fields == {"image": 4, "joints2d": 4, "name": 4, "silhouette": 2}
    assert [record["name"] for record in records(settings, "lsp_train")] == [
        b"im0001.jpg",
        b"im0002.jpg",
        b"im0003.jpg",
        b"im0004.jpg",
    ]
    for record, number in zip(records(settings, "lsp_ext"), (3, 10000), strict=True):
        labelled = folders[1].joints[number - 1, :, 2] == 1
        np.testing.assert_array_equal(record["joints2d_weight"][:14], labelled)
        # Garbage coordinates of unlabelled joints never reach a record.
        np.testing.assert_array_equal(record["joints2d"][:14][~labelled], 0)


def test_bytes_do_not_depend_on_the_number_of_workers(settings, tmp_path):
    outputs = [tmp_path / name for name in ("one", "two")]
    for output, num_workers in zip(outputs, (1, 2), strict=True):
        run(settings, lsp=True, data_dir=str(output), num_workers=num_workers, shard_size=3)
    assert contents(outputs[0]) == contents(outputs[1])
    assert len(contents(outputs[0])) == 3


def test_only_segmented(settings):
    (summary,) = run(settings, lsp=True, only_segmented=True)
    assert (summary.kept, summary.with_mask) == (2, 2)
    assert summary.skipped["no segmentation"] == ["im0003.jpg", "im0004.jpg"]


@pytest.mark.parametrize("flag", ["mpii_json", "h36m"])
def test_datasets_without_segmentations_refuse_only_segmented(flag):
    message = f"only_segmented: would leave out everybody of `{flag}=folder`"
    with pytest.raises(UserError, match=message):
        create(*configured(**{flag: "folder", "only_segmented": True}), progress=False)


def test_images_and_masks_may_lie_elsewhere(settings, folders, tmp_path):
    lsp, _ = folders
    (lsp.root / "images").rename(tmp_path / "pictures")
    lsp.masks.rename(tmp_path / "masks")
    (summary,) = run(
        settings, lsp=True, lsp_im=str(tmp_path / "pictures"), lsp_seg=str(tmp_path / "masks"), up_dir="none"
    )
    assert (summary.kept, summary.with_mask) == (4, 2)


def test_mpii(settings, tmp_path):
    root = tmp_path / "mpii"
    dataset_folders.write_image(root / "images" / "00001.png", 70, 64)
    np.savez(root / "poses.npz", poses=np.full((3, 16, 1), 30.0))
    (summary,) = run(settings, mpii=True, mpii_dir=str(root))
    assert summary.kept == 1
    (record,) = records(settings, "mpii")
    np.testing.assert_array_equal(record["joints2d_weight"], [1] * 14 + [0] * 5)


def test_mocap(settings, tmp_path):
    recordings = tmp_path / "recordings" / "CMU"
    recordings.mkdir(parents=True)
    poses = np.random.default_rng(0).normal(size=(50, 72))
    (recordings / "01.pkl").write_bytes(pickle.dumps({"poses": poses, "betas": np.arange(10.0)}, protocol=2))
    (recordings / "02.pkl").write_bytes(b"damaged")
    (summary,) = run(settings, mocap=True, mocap_dir=str(tmp_path / "recordings"))
    assert (summary.name, summary.kept) == ("mocap CMU", 50)
    assert summary.skipped == {"file cannot be read as plain arrays": ["CMU/02.pkl"]}
    (found,) = find_frames(settings["data_dir"], ["CMU"])
    files = found.files
    features = {"pose": tf.io.FixedLenFeature((72,), tf.float32)}
    written = [
        tf.io.parse_single_example(r, features)["pose"].numpy() for r in tf.data.TFRecordDataset(files)
    ]
    assert not np.allclose(written, poses)
    order = np.argsort(np.array(written)[:, 0])
    np.testing.assert_allclose(np.array(written)[order], poses[np.argsort(poses[:, 0])], rtol=1e-6)


def test_h36m(settings, tmp_path):
    root = h36m_folders.write_h5(tmp_path / "h36m")
    summaries = run(settings, h36m=str(root), lsp=True)
    assert [(s.name, s.kept, s.frames) for s in summaries] == [
        ("h36m_train", 16, 96),
        ("h36m_val", 8, 48),
        ("lsp_train", 4, None),
    ]
    (found,) = find_sequences(settings["data_dir"], ["h36m_val"], verify=True)
    first, *_ = stream_sequences(found)
    assert (first.name, len(first), list(first.keypoints)) == ("S9/Directions/54138969", 6, ["gt", "sh"])
    assert found.manifest.options == {
        "directory": str(root),
        "layout": "h5",
        "cameras": str(root / "cameras.h5"),
        "detections": ["sh"],
        "frames": 48,
    }
    lines = format_summary(summaries).strip().splitlines()
    assert [line.split()[-1] for line in lines[:4]] == ["frames", "96", "48", "-"]
    assert "h36m_val: note: 1 x subject is missing (S11)" in lines
    assert "h36m_train: note: 4 x subject is missing (S5, S6, S7, ...)" in lines


def test_h36m_crops_are_records_of_people_and_of_poses(settings, tmp_path):
    root = h36m_folders.write_course(tmp_path / "course")
    summaries = run(settings, h36m=str(root))
    assert {summary.name: (summary.kept, summary.frames) for summary in summaries} == {
        "h36m_course_poses": (4, 5),
        "h36m_course_train": (4, None),
        "h36m_course_valid": (2, None),
    }
    for record in records(settings, "h36m_course_train"):
        assert record["joints2d_weight"][:12].all()
        assert record["joints3d_weight"][:12].all()
    assert not any(record["joints2d_weight"].any() for record in records(settings, "h36m_course_valid"))


def test_a_damaged_file_of_h36m_is_left_out_and_named(settings, tmp_path):
    root = h36m_folders.write_h5(tmp_path / "h36m")
    path = h36m_folders.positions_h5(root, "S1", "Walking")
    path.write_bytes(path.read_bytes()[:-900])
    text = format_summary(run(settings, h36m=str(root)))
    assert "is not a readable HDF5 file" in text
    assert "S1/Walking" in text


def test_mocap_set_from_two_sources_is_refused(settings, tmp_path):
    recordings = tmp_path / "recordings"
    (recordings / "CMU").mkdir(parents=True)
    (recordings / "CMU" / "01.pkl").touch()
    (recordings / "neutrSMPL_CMU_000.tfrecord").touch()
    with pytest.raises(UserError, match="both recordings and record files of the set CMU"):
        run(settings, mocap=True, mocap_dir=str(recordings))


@pytest.mark.slow
def test_synthetic_people(settings, tmp_path):
    outputs = [tmp_path / name for name in ("one", "two")]
    for output, num_workers in zip(outputs, (1, 2), strict=True):
        run(settings, synthetic=2, synthetic_val=1, data_dir=str(output), num_workers=num_workers)
    assert contents(outputs[0]) == contents(outputs[1])
    settings["data_dir"] = str(outputs[0])
    train, val = records(settings, "synthetic_train"), records(settings, "synthetic_val")
    assert (len(train), len(val)) == (2, 1)
    assert len({record["image"] for record in train + val}) == 3
    for record in train + val:
        assert record["pose_weight"] == 1
        assert record["silhouette"]
        assert (record["joints3d_weight"] > 0).all()
        assert record["camera"][0] > 0


def test_summary_table(settings, folders):
    path = folders[0].root / "images" / "im0002.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    dataset_folders.write_mask(folders[0].masks / "im0001_segmentation.png", 41, 35)
    lines = format_summary(run(settings, lsp=True, lsp_val=True)).strip().splitlines()
    assert lines[0].split()[:5] == ["dataset", "read", "kept", "masks", "skipped"]
    assert lines[1].split()[:5] == ["lsp_train", "1000", "3", "0", "997"]
    assert lines[2].split()[:5] == ["lsp_val", "1000", "1", "0", "999"]
    assert "lsp_train: skipped: 1 x image is truncated (im0002.jpg)" in lines
    assert "lsp_train: skipped: 996 x image is missing (im0005.jpg, im0006.jpg, im0007.jpg, ...)" in lines
    note = "lsp_train: note: 1 x segmentation has another size than its image: left out (im0001.jpg)"
    assert note in lines


@pytest.mark.parametrize(
    ("selection", "flag"),
    [
        ("lsp", "lsp_dir"),
        ("lsp", "lsp_im"),
        ("lsp_val", "lsp_seg"),
        ("lsp_ext", "lsp_ext_dir"),
        ("lsp_ext", "lsp_e_im"),
        ("lsp_ext", "lsp_e_seg"),
        ("lsp", "up_dir"),
        ("mpii", "mpii_dir"),
        ("mpii", "mpii_poses_dir"),
        ("mocap", "mocap_dir"),
        ("h36m", "h36m"),
        ("synthetic", "backgrounds"),
    ],
)
def test_wrong_directory_is_named_before_anything_is_written(settings, selection, flag):
    # A good dataset comes first: it must not be written either.
    with pytest.raises(UserError) as error:
        run(settings, **({"lsp": True, selection: True} | {flag: "/no/such/folder"}))
    assert f"{flag}=/no/such/folder" in str(error.value)
    assert "\n" not in str(error.value)
    assert not pathlib.Path(settings["data_dir"]).exists()


@pytest.mark.parametrize("part", ["joints.mat", "images"])
def test_folder_that_lacks_a_part(settings, folders, part):
    (folders[0].root / part).rename(folders[0].root / "elsewhere")
    with pytest.raises(
        UserError, match=f"lsp_dir=.*: has no {re.escape(part)}; it should hold joints.mat and"
    ):
        run(settings, lsp=True)


def test_missing_segmentations_are_no_error_unless_asked_for(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings.pop("up_dir")
    assert run(settings, lsp=True)[0].with_mask == 0
    with pytest.raises(UserError, match="up_dir=data/upi-s1h: no such folder with data/lsp/"):
        run(settings, lsp=True, only_segmented=True)


def test_nothing_selected(settings):
    with pytest.raises(UserError, match=r"nothing is selected: say `h36m=DIR`, .*`lsp`, "):
        run(settings)


@pytest.mark.parametrize("flag", ["synthetic", "num_workers", "seed", "shard_size"])
def test_numbers_out_of_range(flag):
    with pytest.raises(ValueError, match=f"{flag}=-1: must be at least"):
        configured(**{flag: -1})


@pytest.mark.parametrize(
    ("flag", "value"),
    [("mocap_fps", -5.0), ("mocap_fps", float("nan")), ("mocap_set", "a/b"), ("mocap_set", "*")],
)
def test_recordings_are_not_thinned_or_named_by_nonsense(flag, value):
    with pytest.raises(ValueError, match=f"{flag}=.*: must be"):
        configured(**{flag: value})


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["ours", "original"])
def test_command_line(settings, spelling, capsys):
    names = {"lsp": "lsp", "lsp_val": "lsp_val", "lsp_ext": "lsp_ext", "lsp_ext_dir": "lsp_ext_dir"}
    if spelling == "original":
        names = {name: f"create_{name}" for name in names} | {"lsp_ext_dir": "lsp_e_dir"}
    arguments = [f"--{names[name]}=True" for name in ("lsp", "lsp_val", "lsp_ext")]
    arguments += [
        f"--{names.get(flag, flag)}={value}" for flag, value in settings.items() if flag != "num_workers"
    ]
    if spelling == "ours":
        result = command_line(*arguments, "--num_workers=2")
        assert result.returncode == 0, result.stderr
        output, errors = result.stdout, result.stderr
    else:
        run_program(create_datasets, *arguments, "--num_workers=1")
        output, errors = capsys.readouterr()
    assert re.search(r"^lsp_ext +10000 +2 +1 +9998 ", output, re.MULTILINE)
    assert "lsp_ext: skipped: 9997 x image is missing (im00001.jpg, im00002.jpg, im00005.jpg, ...)" in output
    assert "img/s" in errors  # the progress bar
    assert [len(records(settings, name)) for name in ("lsp_train", "lsp_val", "lsp_ext")] == [4, 1, 2]


@pytest.mark.slow
def test_a_plugin_adds_a_dataset_with_a_field_of_its_own(tmp_path):
    """The file of docs/add_a_dataset.md, as it stands there."""
    page = (PROJECT_ROOT / "docs" / "add_a_dataset.md").read_text()
    (tmp_path / "plates.py").write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1])
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        dataset_folders.write_image(tmp_path / "pictures" / f"{number}.png", 40, 30)
        np.savetxt(tmp_path / "pictures" / f"{number}.txt", np.full((14, 2), 9))
    np.savetxt(tmp_path / "pictures" / "1.txt", np.full((3, 2), 9))
    flags = (
        f"--plates={tmp_path / 'pictures'}",
        f"--plugins={tmp_path / 'plates.py'}",
        f"--data_dir={tmp_path}",
    )
    result = command_line(*flags, "--num_workers=2")
    assert result.returncode == 0, result.stderr
    assert "plates: skipped: 1 x labels are not 14 joints (1.txt)" in result.stdout
    (shards,) = find_shards(tmp_path, ["plates"])
    assert (shards.count, shards.manifest.fields["warmth"], shards.manifest.provenance.licence) == (
        2,
        2,
        "CC0",
    )


def test_settings_that_are_none(settings):
    with pytest.raises(TypeError, match="no setting called so"):
        configured(lspp=True)


@pytest.mark.slow
def test_command_line_errors_are_one_line(tmp_path):
    result = command_line("--lsp", "--lsp_dir=/no/such/folder", f"--data_dir={tmp_path / 'out'}")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: --lsp_dir=/no/such/folder: no such folder")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.data
def test_our_lsp_records_agree_with_those_of_the_original_code(data_dir, tmp_path):
    path = data_dir / "samples" / "original_lsp_16.tfrecords"
    originals = [
        {key: value.numpy() for key, value in record.items()}
        for record in tf.data.TFRecordDataset(str(path)).map(parsed)
    ]
    # All of LSP is read in tests/datasets/test_lsp.py.
    lsp = tmp_path / "lsp"
    (lsp / "images").mkdir(parents=True)
    (lsp / "joints.mat").symlink_to(data_dir / "lsp_dataset" / "joints.mat")
    for original in originals:
        name = original["name"].decode()
        (lsp / "images" / name).symlink_to(data_dir / "lsp_dataset" / "images" / name)
    settings = {"data_dir": str(tmp_path / "records"), "num_workers": 1}
    (summary,) = run(settings, lsp=True, lsp_dir=str(lsp), up_dir=str(data_dir / "upi-s1h"))
    assert (summary.read, summary.kept, summary.notes) == (1000, 16, {})
    ours = {record["name"]: record for record in records(settings, "lsp_train")}
    for original in originals:
        own = ours[original["name"]]
        # The joints.mat there is was recovered from larger images: means of up to half a pixel.
        distance = np.linalg.norm(own["joints2d"] - original["joints2d"], axis=1)[:14]
        assert distance.mean() < 0.6
        assert distance.max() < 0.8
        np.testing.assert_array_equal(own["joints2d_weight"], original["joints2d_weight"])
        assert np.abs(own["center"] - original["center"]).max() <= 1
        assert own["image"] == original["image"]
        np.testing.assert_array_equal(own["image_size"], original["image_size"])
        if own["silhouette"]:
            masks = [tf.io.decode_image(r["silhouette"], channels=1).numpy() >= 128 for r in (own, original)]
            assert (masks[0] & masks[1]).sum() > 0.7 * (masks[0] | masks[1]).sum()


def test_synthetic_mocap_is_a_set_that_the_critic_reads(tmp_path):
    create(*configured(synthetic_mocap=12, data_dir=str(tmp_path)), progress=False)
    (found,) = find_frames(tmp_path, ["synthetic"])
    records = tf.data.TFRecordDataset(found.files)
    examples = [tf.train.Example.FromString(raw) for raw in records.as_numpy_iterator()]
    poses = {tuple(example.features.feature["pose"].float_list.value) for example in examples}
    assert len(poses) == 12


def test_datasets_with_bodies_and_3d_joints_become_records(tmp_path):
    """What systems read of them comes back from records: joints in any set, bodies and whose, cameras, frames."""
    people_folders.write_spin(tmp_path / "spin" / "a.npz")
    people_folders.write_pw3d(tmp_path / "pw3d")
    people_folders.write_mpi_inf_3dhp(tmp_path / "3dhp")
    people_folders.write_occlusion_person(tmp_path / "occluded")
    people_folders.write_mpii_release(tmp_path / "mpii")
    people_folders.write_hr_lspet(tmp_path / "lspet")
    people_folders.write_flic(tmp_path / "flic")
    options = {
        **{"spin": tmp_path / "spin", "pw3d": tmp_path / "pw3d", "mpi_inf_3dhp": tmp_path / "3dhp"},
        **{"occlusion_person": tmp_path / "occluded", "mpii_mat": tmp_path / "mpii"},
        **{"hr_lspet": tmp_path / "lspet", "flic": tmp_path / "flic"},
    }
    base = {"data_dir": str(tmp_path / "records"), "num_workers": 1, "mpi_inf_3dhp_every": 2}
    summaries = run(base, **{key: str(value) for key, value in options.items()})
    kept = {summary.name: (summary.kept, summary.read) for summary in summaries}
    assert kept == {
        **{"mpii_release": (2, 3), "hr_lspet": (3, 3), "spin_a": (3, 3), "pw3d_train": (5, 8)},
        **{"mpi_inf_3dhp_train": (4, 4), "flic_train": (24, 24), "flic_test": (1, 1)},
        "occlusion_person_train": (3, 3),
    }
    needs = fields.Needs(
        ("joints2d", "joints3d", "pose", "shape", "gender", "intrinsics", "sequence", "frame", "head_size"),
        "mpii16",
        skeleton3d="h36m17",
    )
    found = find_shards(base["data_dir"], list(kept))
    everybody = sum(count for count, _ in kept.values())
    stream = evaluation_batches(found, PipelineConfig(img_size=32), batch_size=everybody, needs=needs)
    whole, batches, start = next(stream.as_numpy_iterator()), {}, 0
    for shards in found:
        assert shards.manifest.provenance.source
        assert shards.manifest.provenance.licence
        batches[shards.name] = {key: values[start : start + shards.count] for key, values in whole.items()}
        start += shards.count
    has_3d = {name for name, batch in batches.items() if batch["joints3d_weight"].any()}
    assert has_3d == {"spin_a", "pw3d_train", "mpi_inf_3dhp_train", "occlusion_person_train"}
    for name in has_3d - {"spin_a", "pw3d_train"}:
        batch = batches[name]
        # The camera of the crop sees 3D joints where the 2D joints are: hips, by whatever name of the set.
        points = batch["joints3d"][
            :, [skeletons.H36M17.index("left_hip"), skeletons.H36M17.index("right_hip")]
        ]
        seen = np.einsum("bij,bkj->bki", batch["intrinsics"], points)
        seen = 2 * (seen[..., :2] / np.maximum(seen[..., 2:], 1e-6)) / 32 - 1
        hips = batch["joints2d"][:, [skeletons.MPII16.index("left_hip"), skeletons.MPII16.index("right_hip")]]
        np.testing.assert_allclose(seen, hips, atol=0.05)
    pw3d = batches["pw3d_train"]
    assert pw3d["pose_weight"].all()
    assert pw3d["shape_weight"].all()
    assert {b"male", b"female"} == set(pw3d["gender"])
    assert set(pw3d["sequence"]) == {b"walk_00"}
    assert sorted(pw3d["frame"]) == [0, 1, 1, 2, 2]
    assert batches["mpii_release"]["head_size"][0] > 0
