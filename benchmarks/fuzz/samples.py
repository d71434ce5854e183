"""A sound file for every reader of foreign files, and how it is read."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import pathlib
import pickle
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

_POSES = np.zeros((6, 72))
_BVH = """HIERARCHY
ROOT Hips
{
 OFFSET 0 0 0
 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
 JOINT Spine
 {
  OFFSET 0 10 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  End Site
  {
   OFFSET 0 5 0
  }
 }
}
MOTION
Frames: 2
Frame Time: 0.0083
0 0 0 1 2 3 4 5 6
0 0 0 1 2 3 4 5 6
"""


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader of foreign files.

    Attributes:
        make: writes what it reads into a folder and returns the file to be changed.
        read: reads it; is given that file.
    """

    make: Callable[[pathlib.Path], pathlib.Path]
    read: Callable[[pathlib.Path], Any]


def _file(name: str, write: Callable[[pathlib.Path], Any]) -> Callable[[pathlib.Path], pathlib.Path]:
    def make(folder: pathlib.Path) -> pathlib.Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return path

    return make


def _tables(vertices: int = 30) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    parents = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
    return {
        "v_template": rng.normal(size=(vertices, 3)),
        "shapedirs": rng.normal(size=(vertices, 3, 10)),
        "J_regressor": rng.random((24, vertices)),
        "weights": np.eye(24)[rng.integers(0, 24, vertices)],
        "kintree_table": np.stack([parents, np.arange(24)]),
        "f": rng.integers(0, vertices, (20, 3)),
        "cocoplus_regressor": rng.random((19, vertices)),
    }


def _pickled_body(path: pathlib.Path, protocol: int) -> None:
    import scipy.sparse

    tables: dict[str, Any] = dict(_tables())
    tables["J_regressor"] = scipy.sparse.csc_matrix(tables["J_regressor"] > 0.9)
    tables["objects"] = np.array([1, "b", None], object)
    path.write_bytes(pickle.dumps(tables, protocol=protocol))


def _pixels(height: int = 40, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def _picture(path: pathlib.Path, *, pillow: str = "", orientation: int = 1, **options) -> None:
    if not pillow:
        cv2.imwrite(str(path), _pixels())
        return
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(_pixels()).save(file, pillow, exif=exif, **options)
    path.write_bytes(file.getvalue())


def _heic(path: pathlib.Path) -> None:
    import pillow_heif
    from PIL import Image

    pillow_heif.from_pillow(Image.fromarray(_pixels(64, 64))).save(path)


def _load_all(sources) -> None:
    for source in sources:
        for item in source.items:
            source.load(item)


def _coco(path: pathlib.Path) -> None:
    from hpe import skeletons

    folder = path.parent
    (folder / "images").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "images" / "a.jpg"), _pixels())
    keypoints = [number for joint in range(17) for number in (5 + joint, 6 + 2 * joint, 2)]
    people = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "bbox": [4, 4, 30, 30],
            "keypoints": keypoints,
            "segmentation": outline,
        }
        for number, outline in enumerate(
            (
                [[4, 4, 30, 4, 30, 30]],
                {"size": [40, 48], "counts": [100, 60, 1760]},
                {"size": [40, 48], "counts": "d3l1`i1"},
            )
        )
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 40, "width": 48}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeletons.COCO17.joints)}],
    }
    path.write_text(json.dumps(content))


def _read_coco(path: pathlib.Path) -> None:
    from hpe.datasets.coco import coco

    _load_all(coco(path.parent))


def _mpii_json(path: pathlib.Path) -> None:
    folder = path.parent.parent
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / "a.jpg"), _pixels())
    person = {"image": "a.jpg", "joints": [[5, 6 + n] for n in range(16)], "joints_vis": [1] * 16}
    path.write_text(json.dumps([person | {"center": [20, 20], "scale": 0.2}] * 2))


def _heads(path: pathlib.Path) -> None:
    import scipy.io

    _mpii_json(path.parent / "valid.json")
    scipy.io.savemat(path, {"headboxes_src": np.ones((2, 2, 2))}, do_compression=True)


def _read_mpii_json(path: pathlib.Path) -> None:
    from hpe.datasets.mpii_json import mpii_json

    _load_all(mpii_json(path.parent.parent))


def _mpii(path: pathlib.Path) -> None:
    (path.parent / "images").mkdir(exist_ok=True)
    cv2.imwrite(str(path.parent / "images" / "00001.png"), _pixels())
    np.savez_compressed(path, poses=np.random.default_rng(0).uniform(1, 30, (3, 16, 2)))


def _layout(write: str, **options) -> Callable[[pathlib.Path], Any]:
    """Returns what writes a folder of `tests.people_folders`; the file to be changed is one that it writes."""

    def make(path: pathlib.Path) -> None:
        from tests import people_folders

        root = path.parents[len(pathlib.PurePath(_LAYOUTS[write]).parts) - 1]
        assert getattr(people_folders, write)(root, **options) == path, path

    return make


# Files that writers of `tests.people_folders` return, below the folder that they are given.
_LAYOUTS = {
    "write_mpii_release": "mpii_human_pose_v1_u12_1.mat",
    "write_hr_lspet": "joints.mat",
    "write_pw3d": "sequenceFiles/train/walk_00.pkl",
    "write_mpi_inf_3dhp": "S1/Seq1/annot.mat",
    "write_mpi_inf_3dhp_test": "mpi_inf_3dhp_test_set/TS1/annot_data.mat",
    "write_flic": "examples.mat",
    "write_occlusion_person": "annot/unrealcv_train.pkl",
    "write_h36m_eccv18": "msra_cache/HM36_eccv_challenge_Train_cache/"
    "HM36_eccv_challenge_Train_cache_w288xh384_keypoint_jnt_bbox_db.pkl",
}


def _layout_reader(write: str, module: str, function: str, **options) -> Reader:
    """Returns a reader of one of `_LAYOUTS` by a function of a folder in `hpe.datasets`."""
    depth = len(pathlib.PurePath(_LAYOUTS[write]).parts) - 1

    def read(path: pathlib.Path) -> None:
        found = _call(f"hpe.datasets.{module}", function)(path.parents[depth])
        _load_all(found if isinstance(found, list) else [found])

    return Reader(_file(_LAYOUTS[write], _layout(write, **options)), read)


def _spin(path: pathlib.Path) -> None:
    from tests import people_folders

    people_folders.write_spin(path)


def _read_spin(path: pathlib.Path) -> None:
    _load_all(_call("hpe.datasets.spin", "spin")(path))


def _manifest(path: pathlib.Path) -> None:
    from hpe.records.manifest import Manifest, Shard

    shards = (Shard("a-00000-of-00001.tfrecord", 2, 300, "0" * 64),)
    path.write_text(Manifest("a", "lsp14", shards, skipped={"gone": ["b"]}, notes={}).to_json())


def _read_manifest(path: pathlib.Path) -> None:
    from hpe.errors import UserError
    from hpe.records.manifest import Manifest

    manifest = Manifest.load(path)
    try:
        manifest.check(path.parent)
    except UserError as error:
        if "\n" in str(error):
            raise ValueError("a message of several lines") from error


def _params(path: pathlib.Path) -> None:
    from hpe import systems
    from hpe.runs.settings import Settings

    entry = systems.get("lifter")
    path.write_text(json.dumps(Settings("lifter", entry.config(), entry.input()).to_plain()))


def _read_params(path: pathlib.Path) -> None:
    from hpe.runs.directory import RunDirectory

    RunDirectory(path.parent).read_settings()


def _released(path: pathlib.Path) -> None:
    from safetensors.numpy import save_file

    from hpe import systems
    from hpe.runs import released
    from hpe.runs.settings import Settings

    entry = systems.get("lifter")
    arrays = {"networks/lifter/kernel": np.arange(12, dtype=np.float32).reshape(3, 4)}
    metadata = {
        "format": released._FORMAT,
        "digest": released.digest(arrays),
        "settings": json.dumps(Settings("lifter", entry.config(), entry.input()).to_plain()),
        **{"step": "3", "body_models": "[]", "licence": "CC0", "about": "a"},
    }
    save_file(arrays, path, metadata=metadata)


def _keras_weights(path: pathlib.Path) -> None:
    import zipfile

    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 4), np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", content.getvalue())
        archive.writestr("config.json", "{}")


def _history(path: pathlib.Path) -> None:
    line = {"step": 3, "epoch": 0.5, "kind": "validation", "values": {"iou": 0.5, "loss": None}}
    path.write_text("".join(json.dumps(line) + "\n" for _ in range(4)))


def _read_history(path: pathlib.Path) -> None:
    from hpe.training.history import History

    History(path, step=2)


def _frames(path: pathlib.Path) -> None:
    from hpe.records.framing import masked_crc32c

    content = b""
    for number in range(3):
        data, length = bytes(range(40)), np.array([[40]], "<u8").view(np.uint8)
        crcs = [
            masked_crc32c(row).astype("<u4").tobytes()
            for row in (length, np.frombuffer(data, np.uint8)[None])
        ]
        content += length.tobytes() + crcs[0] + data[number:] + data[:number] + crcs[1]
    path.write_bytes(content)


def _read_frames(path: pathlib.Path) -> None:
    from hpe.records import framing

    found = framing.scan(path)
    framing.read_records(path, range(found.records))


def _read_mpii(path: pathlib.Path) -> None:
    from hpe.datasets.mpii import mpii

    _load_all([mpii(path.parent)])


def _lsp(path: pathlib.Path) -> None:
    import scipy.io

    (path.parent / "images").mkdir(exist_ok=True)
    cv2.imwrite(str(path.parent / "images" / "im0001.jpg"), _pixels())
    scipy.io.savemat(
        path, {"joints": np.random.default_rng(0).uniform(0, 40, (3, 14, 2000))}, do_compression=True
    )


def _read_lsp(path: pathlib.Path) -> None:
    from hpe.datasets.lsp import Split, lsp

    source = lsp(path, path.parent / "images", split=Split.TRAIN)
    source.load(source.items[0])


def _h36m(path: pathlib.Path, *, cameras: bool = False) -> pathlib.Path:
    """Writes a folder of Human3.6M; `path` is one of its files."""
    from tests import h36m_folders

    root = path.parents[0] if cameras else path.parents[3]
    root.mkdir(parents=True, exist_ok=True)
    h36m_folders.write_h5(root)
    return path


def _read_h36m(root: pathlib.Path) -> None:
    from hpe.datasets.human36m.dataset import h36m

    for source in h36m(root):
        for _ in source.stream():
            pass


def _videopose(path: pathlib.Path) -> None:
    from tests import h36m_folders

    h36m_folders.write_npz(path.parent)


def _read_videopose(path: pathlib.Path) -> None:
    from hpe.datasets.human36m.npz import find_positions

    for load in find_positions(path.parent).positions.values():
        load()


def _cdf(path: pathlib.Path) -> None:
    from tests import h36m_folders

    h36m_folders.write_cdf_file(path, np.zeros((1, 5, 96)))


def _read_cdf(path: pathlib.Path) -> None:
    from hpe.datasets.human36m.cdf import read_positions

    read_positions(path)


def _xml(path: pathlib.Path) -> None:
    from tests import h36m_folders

    h36m_folders.write_metadata_xml(path.parent)


def _read_xml(path: pathlib.Path) -> None:
    from hpe.datasets.human36m.cameras import read_xml

    read_xml(path)


def _course(path: pathlib.Path) -> None:
    from tests import h36m_folders

    h36m_folders.write_course(path.parent.parent)


def _read_course(path: pathlib.Path) -> None:
    from hpe.datasets.human36m.course import sources

    for source in sources(path.parent.parent):
        for _ in source.stream() if hasattr(source, "stream") else map(source.load, source.items):
            pass


def _hemlets(path: pathlib.Path) -> None:
    from tests.datasets.human36m import test_pictures

    arrays = test_pictures.crops(2)
    test_pictures.write(path, **arrays)


def _hmr_records(path: pathlib.Path) -> None:
    from hpe.records import mocap

    frames = [(np.zeros(72), np.ones(10))] * 3
    mocap.write_frames(frames, path.parents[1], "CMU")


def _read_hmr_records(path: pathlib.Path) -> None:
    from hpe.records import mocap

    (found,) = mocap.find_frames(path.parents[1], ["CMU"])
    mocap.read_frames(found)


def _mediapipe(path: pathlib.Path) -> None:
    landmarks = [[{"x": 0.5, "y": 0.5, "visibility": 0.9}] * 33]
    path.write_text(
        json.dumps([{"image": "a.jpg", "height": 40, "width": 48, "pose_landmarks": landmarks}] * 2)
    )


def _read_boxes(path: pathlib.Path) -> None:
    from hpe.datasets.boxes import boxed_pictures

    boxed_pictures(path)


def _read_mocap(path: pathlib.Path) -> None:
    from hpe.datasets import mocap

    for recordings in mocap.find_recordings(path.parent).sequences.values():
        for recording in recordings:
            mocap.load_sequence(recording, fps=30)


def _amass(path: pathlib.Path) -> None:
    content = {"poses": np.zeros((6, 156)), "betas": np.zeros(16), "gender": np.array("male")}
    np.savez_compressed(path, **content, mocap_framerate=np.array(120.0))


def _torch(path: pathlib.Path, *, legacy: bool) -> None:
    from tests.formats.torch_pth import tensor, write

    state = {"a.weight": tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4)), "epoch": 3}
    write(path, {"state_dict": state}, legacy=legacy)


def _pose_hg3d(path: pathlib.Path) -> None:
    from tests.formats.torch_pth import tensor, write

    names = [
        f"layer{level}.{block}.conv{part}.weight"
        for level in range(1, 5)
        for block in (0, 1)
        for part in (1, 2)
    ]
    state = dict.fromkeys(
        [*names, "deconv_layers.0.weight", "hm.weight"], tensor(np.zeros((2, 2, 1, 1), "f4"))
    )
    write(path, {"epoch": 3, "state_dict": state})


def _read_pose_hg3d(path: pathlib.Path) -> None:
    from hpe.formats.torch_files import load_torch_file
    from hpe.networks import pose_hg3d

    pose_hg3d.describe(load_torch_file(path), source=str(path))


def _mean_h5(path: pathlib.Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["pose"], file["shape"], file["cam"] = np.zeros(72), np.zeros(10), np.ones(3)


def _h5(path: pathlib.Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset(
            "group/x", data=np.arange(600.0).reshape(20, 30), chunks=(5, 30), compression="gzip"
        )


def _bvh(path: pathlib.Path) -> None:
    path.write_text(_BVH)


def _graph_model(path: pathlib.Path) -> None:
    (path.parent / "group1").write_bytes(bytes(24))
    weights = [{"name": "a", "dtype": "float32", "shape": [2, 3]}]
    node = {"name": "a", "op": "Const", "input": ["b"]}
    content = {
        "modelTopology": {"node": [node]},
        "weightsManifest": [{"paths": ["group1"], "weights": weights}],
    }
    path.write_text(json.dumps(content))


def _call(module: str, name: str, *arguments) -> Callable[[pathlib.Path], Any]:
    """Returns a reader that imports its function when it is first called."""

    def read(path: pathlib.Path) -> Any:
        function = functools.reduce(getattr, [name], __import__(module, fromlist=[name]))
        return function(path, *arguments)

    return read


_IMAGE = _call("hpe.formats.images", "read_image")
_LOAD = _call("hpe.formats.images", "load_image")
_PICKLE = _call("hpe.formats.pickles", "load_pickle")
_BODY = _call("hpe.body.data", "load_body_model")
_MEAN = _call("hpe.body.mean_parameters", "load_mean_parameters")
_TORCH = _call("hpe.formats.torch_files", "load_torch_file")
_HEMLETS = "hpe.datasets.human36m.hemlets_h5"
_H36M_FILE = "S9/MyPoses/3D_positions/Photo 1.h5"

READERS: dict[str, Reader] = {
    "pickle protocol 0": Reader(_file("a.pkl", lambda p: _pickled_body(p, 0)), _PICKLE),
    "pickle protocol 2": Reader(_file("a.pkl", lambda p: _pickled_body(p, 2)), _PICKLE),
    "pickle protocol 5": Reader(_file("a.pkl", lambda p: _pickled_body(p, 5)), _PICKLE),
    "body pickle": Reader(_file("a.pkl", lambda p: _pickled_body(p, 2)), _BODY),
    "body npz": Reader(_file("a.npz", lambda p: np.savez_compressed(p, **_tables())), _BODY),
    "npz of objects": Reader(
        _file("a.npz", lambda p: np.savez(p, x=np.array({"a": np.zeros(9)}, object))),
        _call("hpe.formats.npz", "load_npz"),
    ),
    "npy": Reader(_file("a.npy", lambda p: np.save(p, np.zeros((4, 5)))), _call("hpe.formats.npz", "load_npy")),
    "PyTorch zip": Reader(_file("a.pth", lambda p: _torch(p, legacy=False)), _TORCH),
    "PyTorch sequence": Reader(_file("a.pth", lambda p: _torch(p, legacy=True)), _TORCH),
    "mean parameters npz": Reader(
        _file("a.npz", lambda p: np.savez(p, pose=np.zeros(72), shape=np.zeros(10))), _MEAN
    ),
    "mean parameters h5": Reader(_file("a.h5", _mean_h5), _MEAN),
    "HDF5": Reader(_file("a.h5", _h5), _call("hpe.formats.hdf5", "read_array", "group/x")),
    "JPEG": Reader(_file("a.jpg", _picture), _IMAGE),
    "JPEG with EXIF": Reader(_file("a.jpg", lambda p: _picture(p, pillow="JPEG", orientation=6)), _IMAGE),
    "progressive JPEG": Reader(_file("a.jpg", lambda p: _picture(p, pillow="JPEG", progressive=True)), _LOAD),
    "PNG": Reader(_file("a.png", _picture), _IMAGE),
    "WebP": Reader(_file("a.webp", _picture), _IMAGE),
    "TIFF": Reader(_file("a.tiff", _picture), _IMAGE),
    "BMP": Reader(_file("a.bmp", _picture), _IMAGE),
    "GIF": Reader(_file("a.gif", lambda p: _picture(p, pillow="GIF")), _LOAD),
    "AVIF": Reader(_file("a.avif", lambda p: _picture(p, pillow="AVIF")), _LOAD),
    "HEIC": Reader(_file("a.heic", _heic), _LOAD),
    "mask": Reader(
        _file("a.png", lambda p: cv2.imwrite(str(p), _pixels()[..., 0])), _call("hpe.formats.images", "read_mask")
    ),
    "COCO": Reader(_file("person_keypoints_val.json", _coco), _read_coco),
    "MPII JSON": Reader(_file("annot/train.json", _mpii_json), _read_mpii_json),
    "MPII heads": Reader(_file("annot/gt_valid.mat", _heads), _read_mpii_json),
    "MPII of UP": Reader(_file("poses.npz", _mpii), _read_mpii),
    "LSP": Reader(_file("joints.mat", _lsp), _read_lsp),
    "MPII release": _layout_reader("write_mpii_release", "mpii_release", "mpii_release"),
    "hr-lspet": _layout_reader("write_hr_lspet", "hr_lspet", "hr_lspet"),
    "SPIN": Reader(_file("a.npz", _spin), _read_spin),
    "3DPW": _layout_reader("write_pw3d", "pw3d", "pw3d"),
    "MPI-INF-3DHP": _layout_reader("write_mpi_inf_3dhp", "mpi_inf_3dhp", "mpi_inf_3dhp"),
    "MPI-INF-3DHP test": _layout_reader("write_mpi_inf_3dhp_test", "mpi_inf_3dhp", "mpi_inf_3dhp"),
    "FLIC": _layout_reader("write_flic", "flic", "flic", people=3),
    "Occlusion-Person": _layout_reader("write_occlusion_person", "occlusion_person", "occlusion_person"),
    "Human3.6M of ECCV'18": _layout_reader("write_h36m_eccv18", "human36m.eccv18", "h36m_eccv18"),
    "Human3.6M folder": Reader(_file(_H36M_FILE, _h36m), lambda path: _read_h36m(path.parents[3])),
    "Human3.6M positions": Reader(_file(_H36M_FILE, _h36m), _call("hpe.datasets.human36m.h5", "read_positions")),
    "Human3.6M cameras": Reader(
        _file("cameras.h5", lambda p: _h36m(p, cameras=True)), _call("hpe.datasets.human36m.cameras", "read_h5")
    ),
    "Human3.6M npz": Reader(_file("data_3d_h36m.npz", _videopose), _read_videopose),
    "Human3.6M detections": Reader(
        _file("data_2d_h36m_sh_pt_mpii.npz", _videopose), _call("hpe.datasets.human36m.npz", "read_detections")
    ),
    "Human3.6M cdf": Reader(_file("a.cdf", _cdf), _read_cdf),
    "Human3.6M metadata.xml": Reader(_file("metadata.xml", _xml), _read_xml),
    "Human3.6M crops": Reader(_file("annot/train.h5", _course), _read_course),
    "HEMlets crops": Reader(
        _file("S_11_C_4_1.h5", _hemlets), lambda path: _load_all(_call(_HEMLETS, "hemlets_h5")(path))
    ),
    "HMR records": Reader(_file("mocap_neutrMosh/neutrSMPL_CMU_000.tfrecord", _hmr_records), _read_hmr_records),
    "mocap pickle": Reader(
        _file("a.pkl", lambda p: p.write_bytes(pickle.dumps({"poses": _POSES, "betas": np.zeros(10)}, protocol=2))),
        _read_mocap,
    ),
    "AMASS": Reader(_file("a.npz", _amass), _read_mocap),
    "BVH": Reader(_file("a.bvh", _bvh), _call("hpe.formats.bvh", "read_bvh")),
    "TensorFlow.js": Reader(_file("model.json", _graph_model), _call("hpe.formats.tfjs", "read_graph_model")),
    "OpenPose": Reader(
        _file("a.json", lambda p: p.write_text(json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 75}] * 2}))),
        _call("hpe.formats.detections", "read_detections"),
    ),
    "AlphaPose": Reader(
        _file("a.json", lambda p: p.write_text(json.dumps([{"image_id": "a", "keypoints": [1.0] * 51}] * 2))),
        _call("hpe.formats.detections", "read_detections"),
    ),
    "MediaPipe": Reader(
        _file("a.json", _mediapipe), _call("hpe.formats.detections", "read_detections")
    ),
    "boxes in COCO's form": Reader(_file("boxes.json", _coco), _read_boxes),
    "manifest": Reader(_file("a.manifest.json", _manifest), _read_manifest),
    "params.json": Reader(_file("params.json", _params), _read_params),
    "released weights": Reader(_file("a.safetensors", _released), _call("hpe.runs.released", "read")),
    "Keras weights": Reader(_file("a.keras", _keras_weights), _call("hpe.formats.hdf5", "check_whole")),
    "history.jsonl": Reader(_file("history.jsonl", _history), _read_history),
    "TFRecord": Reader(_file("a.tfrecord", _frames), _read_frames),
    "pose-hg-3d weights": Reader(_file("a.pth", _pose_hg3d), _read_pose_hg3d),
    "HRNet weights": Reader(
        _file("a.npz", lambda p: np.savez(p, width=np.int64(8), skeleton=np.str_("lsp14"), x=np.zeros(3))),
        _call("hpe.networks.hrnet_weights", "load"),
    ),
}  # fmt: skip


def _peer(module: str, name: str, *arguments) -> Callable[[pathlib.Path], Any]:
    """Returns another library's reader; whatever exception it ends with is its way to refuse a file."""

    def read(path: pathlib.Path) -> None:
        from hpe.errors import UserError

        try:
            found = _call(module, name)(str(path))
            for argument in arguments:
                found.varget(argument)
        except Exception as error:
            raise UserError("refused") from error

    return read


# Other libraries' readers of the same files, to compare with; they are asked for by name alone.
PEERS: dict[str, Reader] = {
    "scipy.io.loadmat": Reader(READERS["LSP"].make, _peer("scipy.io", "loadmat")),
    "scipy.io.loadmat of structures": Reader(READERS["MPII release"].make, _peer("scipy.io", "loadmat")),
    "cdflib": Reader(READERS["Human3.6M cdf"].make, _peer("cdflib", "CDF", "Pose")),
}
