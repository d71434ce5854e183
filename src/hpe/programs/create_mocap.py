"""The motion capture part of `create_datasets`: recordings become shuffled sets of frames."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Callable

import numpy as np
import tqdm

from hpe.datasets import mocap
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Provenance
from hpe.errors import UserError
from hpe.records import workers
from hpe.records.manifest import Manifest
from hpe.records.mocap import copy_records, write_frames
from hpe.records.writing import WriteSummary

SYNTHETIC = "synthetic"


def plan_mocap(
    mocap_dir: str, data_dir: str, *, set_name: str, fps: float, seed: int, num_workers: int
) -> list[Callable[[bool], WriteSummary]]:
    """Returns one function per set of recordings below a folder that creates its records.

    Args:
        mocap_dir: folder of the recordings.
        data_dir: folder of the datasets.
        set_name: one set for all recordings; empty for one per folder.
        fps: frames per second to keep; 0 keeps all.
        seed: of the order of the frames.
        num_workers: worker processes.

    Raises:
        UserError: if there are no recordings, or a set comes both as recordings and as HMR's record files.
    """
    found = mocap.find_recordings(mocap_dir, set_name=set_name)
    if both := sorted(found.sequences.keys() & found.records.keys()):
        raise UserError(
            f"--mocap_dir={mocap_dir}: holds both recordings and record files of the set {both[0]}; "
            "keep one of them, or give the recordings another name with --mocap_set."
        )

    def copy(name: str) -> Callable[[bool], WriteSummary]:
        def job(progress: bool) -> WriteSummary:
            start = time.monotonic()
            try:
                manifest = copy_records(found.records[name], data_dir, name)
            except UserError as error:
                # One set of several may hold nothing of use; all of them together may not.
                if len(found.records) + len(found.sequences) == 1:
                    raise
                files = [os.path.basename(path) for path in found.records[name]]
                unusable.append(error)
                if name == last:
                    _require_some(usable, unusable)
                return _nothing(name, {"record files cannot be used": files}, time.monotonic() - start)
            usable.append(name)
            return _summary(name, manifest, time.monotonic() - start)

        return job

    usable: list[str] = []
    unusable: list[UserError] = []
    last = max(found.sequences or found.records)

    def convert(name: str) -> Callable[[bool], WriteSummary]:
        def job(progress: bool) -> WriteSummary:
            start = time.monotonic()
            summary = _convert(name, found.sequences[name], data_dir, fps, seed, num_workers, progress, start)
            usable.extend([name] if summary.kept else [])
            if not summary.kept:
                reasons = ", ".join(f"{len(names)} x {reason}" for reason, names in summary.skipped.items())
                problem = f"--mocap_dir={mocap_dir}: no recording could be used ({name}: {reasons})."
                unusable.append(UserError(problem))
            if name == last:
                _require_some(usable, unusable)
            return summary

        return job

    return [copy(name) for name in sorted(found.records)] + [
        convert(name) for name in sorted(found.sequences)
    ]


def plan_synthetic(count: int, data_dir: str, *, seed: int) -> Callable[[bool], WriteSummary]:
    """Returns the function that creates the set `synthetic` of random poses, for a critic without recordings."""

    def job(progress: bool) -> WriteSummary:
        # The poses come with the body's joint limits: only who asks for them waits.
        from hpe.synthetic.source import frames

        start = time.monotonic()
        bar = tqdm.tqdm(
            frames(count, seed=seed), SYNTHETIC, count, unit="frame", disable=not progress, dynamic_ncols=True
        )
        manifest = write_frames(bar, data_dir, SYNTHETIC, options={"seed": seed})
        return _summary(SYNTHETIC, manifest, time.monotonic() - start)

    return job


def _require_some(usable: list[str], unusable: list[UserError]) -> None:
    """Raises the last problem if no set could be used: a folder of one subject may hold nothing, all may not."""
    if not usable:
        raise unusable[-1]


def _convert(name, recordings, data_dir, fps, seed, num_workers, progress, start) -> WriteSummary:
    sequences: list[mocap.Sequence] = []
    skipped: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    # A process costs more than a handful of files.
    num_workers = min(num_workers, len(recordings) // workers.CHUNK)
    results = workers.ordered_map(mocap.loader(fps=fps), recordings, num_workers=num_workers)
    for result in tqdm.tqdm(
        results, name, len(recordings), unit="file", disable=not progress, dynamic_ncols=True
    ):
        if isinstance(result, Skipped):
            skipped.setdefault(result.reason, []).append(result.name)
            continue
        sequences.append(result)
        if result.remark:
            notes.setdefault(result.remark, []).append(result.name)
    if not sequences:
        return _nothing(name, skipped, time.monotonic() - start)
    pose = np.concatenate([sequence.pose for sequence in sequences])
    owner = np.repeat(np.arange(len(sequences)), [len(sequence.pose) for sequence in sequences])
    # Frames of a recording resemble each other: only a shuffled file gives batches of different people.
    order = np.random.default_rng(seed).permutation(len(pose))
    frames = ((pose[frame], sequences[owner[frame]].shape) for frame in order)
    bar = tqdm.tqdm(frames, name, len(pose), unit="frame", disable=not progress, dynamic_ncols=True)
    genders = collections.Counter(sequence.gender or "not said" for sequence in sequences)
    manifest = write_frames(
        bar,
        data_dir,
        name,
        skipped=skipped,
        notes=notes,
        options={
            "fps": fps,
            "seed": seed,
            "recordings": len(sequences),
            "recordings_by_gender": dict(sorted(genders.items())),
        },
        provenance=Provenance(
            source="recordings of motion capture",
            gender=_common(sequence.gender for sequence in sequences),
            body_model=_common(sequence.body_model for sequence in sequences),
            frames_per_second=_common(sequence.frames_per_second for sequence in sequences) or 0.0,
        ),
    )
    return _summary(name, manifest, time.monotonic() - start)


def _common(values):
    """Returns the value that all have; empty where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else ""


def _nothing(name: str, skipped: dict[str, list[str]], seconds: float) -> WriteSummary:
    """Returns the summary of a set of which no recording could be used; nothing is written."""
    return WriteSummary(
        name=f"mocap {name}",
        kept=0,
        with_mask=0,
        skipped=skipped,
        notes={},
        shards=0,
        bytes=0,
        seconds=seconds,
    )


def _summary(name: str, manifest: Manifest, seconds: float) -> WriteSummary:
    return WriteSummary(
        name=f"mocap {name}",
        kept=manifest.count,
        with_mask=0,
        skipped=manifest.skipped,
        notes=manifest.notes,
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in manifest.shards),
        seconds=seconds,
    )
