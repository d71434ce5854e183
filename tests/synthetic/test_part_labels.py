"""Labels of parts: they lie where the body is, and bodies of other datasets are drawn onto their joints."""

import dataclasses

import cv2
import numpy as np
import pytest

from hpe import fields, skeletons
from hpe.body.data import load_body_model
from hpe.body.parts import part_of_vertices
from hpe.datasets.source import Source
from hpe.records.maps import decode_map
from hpe.synthetic.part_labels import labelled, with_part_labels
from hpe.synthetic.people import SyntheticConfig, generate

FIELD = fields.get("part_labels")
BODY = load_body_model()


@pytest.fixture(scope="module")
def person():
    return generate(3, SyntheticConfig(image_size=128), BODY)


def test_every_vertex_has_a_part_and_sides_are_the_subjects():
    parts = part_of_vertices(BODY)
    assert set(parts) <= set(range(1, 25))
    middle = {part: BODY.v_template[parts == part, 0].mean() for part in set(parts)}
    for number, joint in enumerate(skeletons.SMPL24.joints, 1):
        if number in middle and joint.startswith(("left_", "right_")):
            assert (middle[number] > 0) == joint.startswith("left_"), joint


def test_parts_of_a_synthetic_person_fill_its_mask(person):
    labels = decode_map(FIELD, person.part_labels)
    mask = cv2.imdecode(np.frombuffer(person.mask, np.uint8), cv2.IMREAD_GRAYSCALE) > 0
    np.testing.assert_array_equal(labels > 0, mask)
    assert len(np.unique(labels)) > 15


def test_a_body_without_a_camera_is_laid_onto_its_joints(person):
    bare = dataclasses.replace(person, part_labels=None)
    whole = decode_map(FIELD, labelled(bare, {BODY.name: BODY}).part_labels)
    np.testing.assert_array_equal(whole, decode_map(FIELD, person.part_labels))
    fitted = decode_map(
        FIELD, labelled(dataclasses.replace(bare, camera=None), {BODY.name: BODY}).part_labels
    )
    assert (fitted == whole)[(fitted > 0) | (whole > 0)].mean() > 0.9


def test_what_cannot_be_drawn_is_left_as_it_is(person):
    bare = dataclasses.replace(person, part_labels=None, camera=None)
    assert labelled(bare, {}) is bare
    assert labelled(dataclasses.replace(bare, pose=None), {BODY.name: BODY}).part_labels is None
    elsewhere = dataclasses.replace(bare, joints2d=bare.joints2d[::-1].copy())
    noted = labelled(elsewhere, {BODY.name: BODY})
    assert noted.part_labels is None
    assert noted.notes == ("body does not lie on its 2D joints: no part labels",)


def test_a_source_of_bodies_gets_labels(person):
    source = Source("people", "cocoplus19", [0], lambda item: dataclasses.replace(person, part_labels=None))
    (item,) = source.items
    assert with_part_labels(source, ["default"]).load(item).part_labels == person.part_labels
