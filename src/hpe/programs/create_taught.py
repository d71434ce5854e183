"""The part of `create_datasets` in which networks say where the joints of people in pictures are."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from hpe.datasets.boxes import BoxedPicture, boxed_pictures
from hpe.datasets.people import LabelledPerson, load_person
from hpe.datasets.registry import WriteConfig
from hpe.datasets.sample import Sample, Skipped
from hpe.formats import images
from hpe.inference.sources import find_images
from hpe.inference.teaching import Taught, Teachers
from hpe.people.detection import PersonDetector, RtmdetDetector, intersection_over_union
from hpe.programs.teach_entry import ENTRY, TeachConfig
from hpe.records.pictures import SHARE_ABOVE
from hpe.records.writing import WriteSummary, write_dataset
from hpe.skeletons import COCO17

# Joints whose box overlaps that of the person by less are those of a neighbour.
_SAME_PERSON = 0.3
_DISAGREED = "joint left out: the teachers disagree"
_UNSURE = "joint left out: a teacher is not sure"


def plan_taught(config: TeachConfig, write: WriteConfig) -> Callable[[bool], WriteSummary]:
    """Returns the function that creates the dataset.

    Raises:
        UserError: there are no pictures, or the annotation file is of no use.
    """
    path = pathlib.Path(config.teach)
    lost: list[Skipped] = []
    if path.is_file() and path.suffix.lower() == ".json":
        pictures, lost = boxed_pictures(path)
    else:
        pictures = [BoxedPicture(str(found.name), str(found)) for found in find_images(path)]

    def job(progress: bool) -> WriteSummary:
        people = taught_people(pictures, config, write)
        return write_dataset(
            (item for stream in (lost, people) for item in stream),
            write.data_dir,
            config.teach_name,
            skeleton=COCO17.name,
            shard_size=write.shard_size,
            options={
                key: getattr(value, "value", value) for key, value in dataclasses.asdict(config).items()
            },
            provenance=ENTRY.provenance,
            share_above=SHARE_ABOVE,
            progress=progress,
        )

    return job


def taught_people(
    pictures: list[BoxedPicture],
    config: TeachConfig,
    write: WriteConfig,
    *,
    teachers: Teachers | None = None,
    detector: PersonDetector | None = None,
) -> Iterator[Sample | Skipped]:
    """Yields the people of pictures with the joints that their teachers agree upon, and who is left out.

    Args:
        pictures: with boxes, or without, where a detector looks for people.
        config: what is kept.
        write: `only_segmented` leaves out people without a mask.
        teachers: who says where joints are; by default the networks of the package.
        detector: who says where people are; by default that of the package.
    """
    teachers = teachers or Teachers(config.teach_second)
    detect = functools.cache(lambda: detector or RtmdetDetector())
    for picture in pictures:
        yield from picture.skipped
        try:
            image = images.read_image(picture.path)
        except images.BadImage as error:
            yield Skipped(picture.name, str(error))
            continue
        size = image.height, image.width
        if picture.size not in (None, size):
            yield Skipped(picture.name, "image has another size than its annotation says")
            continue
        pixels = cv2.imdecode(np.frombuffer(image.content, np.uint8), cv2.IMREAD_COLOR)
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        if picture.people is None:
            boxes = [tuple(map(float, box)) for box in detect()(pixels).boxes]
            people = [(f"{picture.name}#{number}", box, None) for number, box in enumerate(boxes)]
            if not people:
                yield Skipped(picture.name, "nobody was found")
        else:
            people = [(person.name, person.box, person.mask) for person in picture.people]
        small = [max(box[2:]) < config.teach_min_side for _, box, _ in people]
        for (name, _, _), left_out in zip(people, small, strict=True):
            if left_out:
                yield Skipped(name, f"smaller than {config.teach_min_side:g} pixels")
        people = [person for person, left_out in zip(people, small, strict=True) if not left_out]
        taught = teachers(pixels, [box for _, box, _ in people])
        for number, (name, box, mask) in enumerate(people):
            person = _person(
                taught, number, config, name=name, box=box, mask=mask, path=picture.path, size=size
            )
            yield (
                person
                if isinstance(person, Skipped)
                else load_person(person, only_segmented=write.only_segmented)
            )


def _person(taught: Taught, number: int, config: TeachConfig, *, name, box, mask, path, size):
    """Returns a person with joints, or why there is none."""
    joints, confidence = taught.joints2d[number], taught.confidences(config.teach_agreement)[number]
    inside = ((joints >= -0.5) & (joints < np.array(size[::-1]) - 0.5)).all(axis=1)
    confidence = np.where(inside, confidence, 0.0)
    kept = confidence > 0
    if kept.sum() < config.teach_min_joints:
        return Skipped(name, f"teachers agree on fewer than {config.teach_min_joints} joints")
    low, high = joints[kept].min(axis=0), joints[kept].max(axis=0)
    x, y, width, height = box
    corners = np.array([x, y, x + width, y + height])
    if intersection_over_union(np.concatenate([low, high]), corners) < _SAME_PERSON:
        return Skipped(name, "joints found are not in the box")
    apart = (taught.distances[number] > config.teach_agreement) & ~kept
    notes = [_DISAGREED] * int(apart.sum()) + [_UNSURE] * int((~kept & ~apart).sum())
    return LabelledPerson(
        name=name,
        image=path,
        mask=mask,
        skeleton=COCO17.name,
        joints2d=np.where(kept[:, None], joints, 0.0),
        visibility=confidence.astype(np.float32),
        scale=float(max(width, height)),
        center=np.array([x + (width - 1) / 2, y + (height - 1) / 2]),
        size=size,
        notes=tuple(notes),
    )
