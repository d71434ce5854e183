"""`python -m create_datasets`: public datasets and synthetic people become records."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
from collections.abc import Callable, Iterable

from absl import flags

from hpe.backends.threads import usable_cores
from hpe.datasets import lsp as lsp_files
from hpe.datasets import mpii as mpii_files
from hpe.datasets.coco import coco
from hpe.datasets.mpii_json import mpii_json
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.programs.create_mocap import plan_mocap, plan_synthetic
from hpe.programs.create_poses import plan_h36m
from hpe.records import workers
from hpe.records.writing import SHARD_SIZE, WriteSummary, write_dataset

_UP_DIR = "data/upi-s1h"
_NAMES_SHOWN = 3

_LEAST = {
    "synthetic": 0,
    "synthetic_val": 0,
    "synthetic_mocap": 0,
    "seed": 0,
    "num_workers": 0,
    "shard_size": 1,
}

# The spellings of the original hybrid HMR.
_ALIASES = {
    "create_lsp": "lsp",
    "create_lsp_val": "lsp_val",
    "create_lsp_ext": "lsp_ext",
    "create_mpii": "mpii",
    "lsp_e_dir": "lsp_ext_dir",
}


@dataclasses.dataclass(frozen=True)
class CreateConfig:
    """Which datasets to create, where their files are, and how to write them; names are flag names."""

    lsp: bool = option(False, "Create lsp_train: the first 1000 images of Leeds Sports Pose.")
    lsp_val: bool = option(False, "Create lsp_val: the last 1000 images of Leeds Sports Pose.")
    lsp_ext: bool = option(False, "Create lsp_ext: LSP-extended.")
    mpii: bool = option(False, "Create mpii, in the layout of Unite the People.")
    mpii_json: str = option(
        "", "Create mpii_train and mpii_valid from this folder: annot/*.json of MSRA and HRNet, and images/."
    )
    coco: str = option(
        "", "Create coco_train and coco_val from this folder: annotations/person_keypoints_*.json and images."
    )
    h36m: str = option(
        "", "Create h36m_train and h36m_val from this folder of Human3.6M, in any of its public layouts."
    )
    mocap: bool = option(False, "Create mocap_neutrMosh/ from HMR's pickles or records, or from AMASS.")
    synthetic: int = option(0, "Create synthetic_train with this many people.")
    synthetic_val: int = option(
        0, "Create synthetic_val with this many people, none of them in synthetic_train."
    )
    synthetic_mocap: int = option(
        0, "Create the mocap set `synthetic` of this many random poses, for a critic without recordings."
    )
    data_dir: str = option("data", "Folder that the records are written to.")
    lsp_dir: str = option("data/lsp_dataset", "LSP: joints.mat and images/.")
    lsp_ext_dir: str = option("data/lspet_dataset", "LSP-extended: joints.mat and images/.")
    up_dir: str = option(_UP_DIR, "Unite the People: data/lsp/ and data/lsp_extended/ with segmentations.")
    mpii_dir: str = option("data/upi-s1h/data/mpii", "MPII of Unite the People: images/ and poses.npz.")
    mocap_dir: str = option("data/mocap", "Recordings: *.pkl, *.npz, neutrSMPL_*.tfrecord at any depth.")
    lsp_im: str | None = option(None, "Images of LSP, if not in lsp_dir/images.")
    lsp_seg: str | None = option(None, "Segmentations of LSP, if not in up_dir.")
    lsp_e_im: str | None = option(None, "Images of LSP-extended, if not in lsp_ext_dir/images.")
    lsp_e_seg: str | None = option(None, "Segmentations of LSP-extended, if not in up_dir.")
    mpii_poses_dir: str | None = option(None, "Folder of MPII's poses.npz, if not mpii_dir.")
    mpii_flag: mpii_files.FlagMeaning = option(
        mpii_files.FlagMeaning.AUTO,
        "What a 1 in the third row of MPII's poses means; auto: what most joints have.",
    )
    mocap_set: str = option(
        "", "Set that recordings belong to; by default the name of their folder in mocap_dir."
    )
    mocap_fps: float = option(
        30.0, "Frames per second to keep of recordings that say their rate; 0 keeps all."
    )
    only_segmented: bool = option(False, "Leave out people without a usable segmentation.")
    backgrounds: str = option("", "Folder of photographs to put behind synthetic people; empty: painted.")
    synthetic_size: int = option(256, "Side of synthetic images in pixels; people are about 150 pixels tall.")
    synthetic_heading: float = option(
        180.0, "Synthetic people turn away from the camera by up to this many degrees."
    )
    body_model: str = option("default", "Body of synthetic people: default, or a file in the SMPL layout.")
    seed: int = option(0, "Synthetic people and the order of mocap frames are functions of this.")
    num_workers: int = option(0, "Worker processes; 0 is one per processor, 1 works in the program itself.")
    shard_size: int = option(SHARD_SIZE, "Images per record file.")

    def __post_init__(self):
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"--{name} must be at least {least}. Received: {name}={value}")
        if not 0 <= self.mocap_fps < math.inf:
            raise ValueError(
                f"--mocap_fps must be finite and not negative. Received: mocap_fps={self.mocap_fps}"
            )
        # It becomes a part of the names of files.
        if not re.fullmatch(r"[\w.-]*", self.mocap_set):
            raise ValueError(
                f"--mocap_set must be of letters, digits, _, . and -. Received: mocap_set={self.mocap_set}"
            )
        for name in ("mpii_json", "h36m"):
            if self.only_segmented and getattr(self, name):
                raise ValueError(
                    f"--only_segmented would leave out everybody of --{name}, which has no segmentations; "
                    f"create it by a call of its own, without this flag. Received: {name}={getattr(self, name)}"
                )


def define_flags() -> None:
    """Defines the flags of this program and the original's spellings of them."""
    program_flags.define(CreateConfig)
    for alias, name in _ALIASES.items():
        flags.DEFINE_alias(alias, name)


def main() -> None:
    """Creates what the flags select and prints the summary."""
    config = program_flags.read(CreateConfig)
    print(format_summary(create(config)))
    print(f"records are in {config.data_dir}; look at them with python -m hpe.programs.show_records")


def create(config: CreateConfig, *, progress: bool = True) -> list[WriteSummary]:
    """Creates the selected datasets.

    Args:
        config: which, from where, to where.
        progress: shows progress bars on stderr.

    Returns:
        One summary per dataset.

    Raises:
        UserError: if nothing is selected; if a folder is not what its flag promises, before anything is
            written; if the disk is full or not writable, with all earlier datasets whole.
    """
    jobs = plan(config)
    if not jobs:
        raise UserError(
            "nothing is selected: say --lsp, --lsp_val, --lsp_ext, --mpii, --mpii_json=DIR, --coco=DIR, "
            "--h36m=DIR, --mocap, --synthetic=N, --synthetic_val=N or --synthetic_mocap=N, in any combination."
        )
    return [job(progress) for job in jobs]


def plan(config: CreateConfig) -> list[Callable[[bool], WriteSummary]]:
    """Returns one function per selected dataset that creates it; checks all folders and indices before."""
    num_workers = config.num_workers or usable_cores()
    sources: list[Source] = []
    if config.lsp or config.lsp_val:
        folders = _lsp_folders(config)
        for wanted, split in ((config.lsp, lsp_files.Split.TRAIN), (config.lsp_val, lsp_files.Split.VAL)):
            if wanted:
                sources.append(lsp_files.lsp(*folders, split=split, only_segmented=config.only_segmented))
    if config.lsp_ext:
        folders = _lsp_extended_folders(config)
        sources.append(lsp_files.lsp_extended(*folders, only_segmented=config.only_segmented))
    if config.mpii:
        sources.append(_mpii(config))
    if config.mpii_json:
        sources += mpii_json(_require(config.mpii_json, "mpii_json", "annot", "images"))
    if config.coco:
        sources += coco(_require(config.coco, "coco"), only_segmented=config.only_segmented)
    if config.synthetic or config.synthetic_val:
        sources.extend(_synthetic(config))
    jobs: list[Callable[[bool], WriteSummary]] = []
    if config.h36m:
        jobs, crops = plan_h36m(_require(config.h36m, "h36m"), config.data_dir)
        sources.extend(crops)
    jobs += [_image_job(source, config, num_workers) for source in sources]
    if config.mocap:
        _require(config.mocap_dir, "mocap_dir")
        jobs += plan_mocap(
            config.mocap_dir,
            config.data_dir,
            set_name=config.mocap_set,
            fps=config.mocap_fps,
            seed=config.seed,
            num_workers=num_workers,
        )
    if config.synthetic_mocap:
        jobs.append(plan_synthetic(config.synthetic_mocap, config.data_dir, seed=config.seed))
    return jobs


def format_summary(summaries: Iterable[WriteSummary]) -> str:
    """Returns a table of what was read, kept and skipped, with the first names of every reason."""
    summaries = list(summaries)
    columns = ["dataset", "read", "kept", "masks", "skipped", "files", "MiB", "s", "records/s"]
    # Of recordings the sequences are counted, and then the frames in those that were kept.
    with_frames = any(summary.frames is not None for summary in summaries)
    rows = [(*columns, "frames") if with_frames else tuple(columns)]
    remarks = []
    for summary in summaries:
        rows.append(
            (
                summary.name,
                f"{summary.read}",
                f"{summary.kept}",
                f"{summary.with_mask}",
                f"{summary.read - summary.kept}",
                f"{summary.shards}",
                f"{summary.bytes / 2**20:.1f}",
                f"{summary.seconds:.1f}",
                f"{summary.kept / max(summary.seconds, 1e-9):.0f}",
            )
            + ((f"{summary.frames or '-'}",) if with_frames else ())
        )
        for kind, reasons in (("skipped", summary.skipped), ("note", summary.notes)):
            for reason, names in sorted(reasons.items()):
                shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
                remarks.append(f"{summary.name}: {kind}: {len(names)} x {reason} ({shown})")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    return "\n".join(["", *lines, *remarks])


def _image_job(source: Source, config: CreateConfig, num_workers: int) -> Callable[[bool], WriteSummary]:
    def job(progress: bool) -> WriteSummary:
        return write_dataset(
            workers.ordered_map(source.load, source.items, num_workers=num_workers),
            config.data_dir,
            source.name,
            skeleton=source.skeleton,
            shard_size=config.shard_size,
            options=source.options,
            total=len(source.items),
            progress=progress,
        )

    return job


def _require(folder: str | pathlib.Path, flag: str, *contents: str) -> pathlib.Path:
    """Returns a folder as a path if it is there with what it should hold; raises UserError naming the flag."""
    path = pathlib.Path(folder)
    holding = f"; it should hold {' and '.join(contents)}" if contents else ""
    if not path.is_dir():
        raise UserError(f"--{flag}={folder}: no such folder{holding}.")
    missing = [name for name in contents if not (path / name).exists()]
    if missing:
        raise UserError(f"--{flag}={folder}: has no {' and no '.join(missing)}{holding}.")
    return path


def _lsp_folders(config: CreateConfig):
    contents = ("joints.mat",) if config.lsp_im else ("joints.mat", "images")
    root = _require(config.lsp_dir, "lsp_dir", *contents)
    images = _require(config.lsp_im, "lsp_im") if config.lsp_im else root / "images"
    masks = _require(config.lsp_seg, "lsp_seg") if config.lsp_seg else _up_folder(config, "lsp")
    return root / "joints.mat", images, masks


def _lsp_extended_folders(config: CreateConfig):
    contents = ("joints.mat",) if config.lsp_e_im else ("joints.mat", "images")
    root = _require(config.lsp_ext_dir, "lsp_ext_dir", *contents)
    images = _require(config.lsp_e_im, "lsp_e_im") if config.lsp_e_im else root / "images"
    masks = (
        _require(config.lsp_e_seg, "lsp_e_seg") if config.lsp_e_seg else _up_folder(config, "lsp_extended")
    )
    return root / "joints.mat", images, masks


def _up_folder(config: CreateConfig, name: str) -> pathlib.Path | None:
    """Returns the segmentations of one dataset; None if nobody asked for them and they are not there."""
    root = pathlib.Path(config.up_dir)
    for folder in (root / "data" / name, root / name):
        if folder.is_dir():
            return folder
    if config.up_dir != _UP_DIR or config.only_segmented:
        raise UserError(f"--up_dir={config.up_dir}: no such folder with data/{name}/ of Unite the People.")
    return None


def _mpii(config: CreateConfig) -> Source:
    if config.mpii_poses_dir:
        poses = _require(config.mpii_poses_dir, "mpii_poses_dir", "poses.npz") / "poses.npz"
        root = _require(config.mpii_dir, "mpii_dir", "images")
    else:
        root = _require(config.mpii_dir, "mpii_dir", "images", "poses.npz")
        poses = root / "poses.npz"
    return mpii_files.mpii(
        root, poses_file=poses, flag=config.mpii_flag, only_segmented=config.only_segmented
    )


def _synthetic(config: CreateConfig) -> list[Source]:
    # The generator compiles a rasteriser and reads the body model: only who asks for it waits.
    from hpe.synthetic.people import SyntheticConfig
    from hpe.synthetic.source import synthetic

    if config.backgrounds:
        _require(config.backgrounds, "backgrounds")
    try:
        look = SyntheticConfig(
            image_size=config.synthetic_size,
            backgrounds=config.backgrounds,
            heading=config.synthetic_heading,
            seed=config.seed,
        )
    except ValueError as error:
        raise UserError(f"--synthetic: {error}") from error
    counts = ((config.synthetic, False), (config.synthetic_val, True))
    return [
        synthetic(count, look, body_model=config.body_model, validation=validation)
        for count, validation in counts
        if count
    ]
