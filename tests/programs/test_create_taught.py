import types

import numpy as np
import pytest

from hpe.datasets.boxes import BoxedPerson, BoxedPicture
from hpe.datasets.outlines import Outline
from hpe.datasets.registry import WriteConfig
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import SettingError, UserError
from hpe.inference.teaching import Taught
from hpe.programs import create_datasets
from hpe.programs.create_taught import taught_people
from hpe.programs.teach_entry import TeachConfig
from hpe.visualization.grids import write_image

BOX = (20.0, 10.0, 60.0, 80.0)


def teachers(picture, boxes):
    """Both see joints in the box; of the second person they agree on three, the third's are elsewhere."""
    joints = np.stack([np.linspace((x + 5, y + 5), (x + w - 5, y + h - 5), 17) for x, y, w, h in boxes])
    distances = np.full((len(boxes), 17), 0.02)
    distances[0, 4] = 0.5
    if len(boxes) > 1:
        distances[1, 3:] = 0.5
    if len(boxes) > 2:
        joints[2] = np.clip(joints[2] + 300, 0, [159, 119])
    return Taught(joints, np.full((len(boxes), 17), 0.8), distances)


@pytest.fixture
def picture(tmp_path):
    write_image(tmp_path / "a.png", np.full((120, 160, 3), 90, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return tmp_path / "a.png"


def test_joints_are_kept_where_the_teachers_agree_and_all_else_has_a_reason(picture):
    outline = Outline([[20, 10, 80, 10, 80, 90, 20, 90]])
    boxes = [BOX, BOX, (60.0, 20.0, 50.0, 60.0), (0.0, 0.0, 10.0, 9.0)]
    people = [BoxedPerson(f"a.png#{n}", box, outline if n == 0 else None) for n, box in enumerate(boxes)]
    pictures = [
        BoxedPicture("a.png", str(picture), (120, 160), people, [Skipped("a.png#9", "crowd")]),
        BoxedPicture("broken.jpg", str(picture.parent / "broken.jpg"), None, people[:1]),
        BoxedPicture("other size", str(picture), (60, 80), people[:1]),
    ]
    found = list(taught_people(pictures, TeachConfig(teach="x"), WriteConfig(), teachers=teachers))
    (sample,) = [item for item in found if isinstance(item, Sample)]
    assert sample.skeleton == "coco17"
    assert sample.visibility[4] == 0
    assert (np.delete(sample.visibility, 4) > 0.9).all()
    assert sample.mask is not None
    assert sample.scale == 80.0
    assert sample.notes.count("joint left out: the teachers disagree") == 1
    reasons = {item.name: item.reason for item in found if isinstance(item, Skipped)}
    assert reasons["a.png#9"] == "crowd"
    assert reasons["a.png#1"] == "teachers agree on fewer than 8 joints"
    assert reasons["a.png#2"] == "joints found are not in the box"
    assert reasons["a.png#3"] == "smaller than 48 pixels"
    assert "other size" in reasons
    assert "broken.jpg" in reasons


def test_a_folder_is_looked_through_by_a_detector(picture):
    def detector(image):
        return types.SimpleNamespace(boxes=np.float32([BOX]), scores=np.float32([0.9]))

    pictures = [BoxedPicture("a.png", str(picture))]
    (sample,) = taught_people(
        pictures, TeachConfig(teach="x"), WriteConfig(), teachers=teachers, detector=detector
    )
    assert sample.name == "a.png#0"
    assert sample.mask is None


def test_mistakes_are_one_line(tmp_path):
    with pytest.raises(SettingError, match=r"teach_agreement=0\.0: must be above 0"):
        TeachConfig(teach="x", teach_agreement=0.0)
    for values, message in (
        ({"teach": "/no/such"}, "teach=/no/such: no such folder"),
        ({"teach": str(tmp_path)}, "holds no image"),
    ):
        with pytest.raises(UserError, match=message):
            create_datasets.create(
                *create_datasets.settings(data_dir=str(tmp_path), **values), progress=False
            )
