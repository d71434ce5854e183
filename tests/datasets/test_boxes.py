import json

import numpy as np
import pytest

from hpe.datasets.boxes import boxed_pictures
from hpe.errors import UserError
from hpe.visualization.grids import write_image


def write(folder, annotations, *, categories=(), names=("a.png", "b.png")):
    (folder / "images").mkdir(exist_ok=True)
    images = []
    for number, name in enumerate(names):
        write_image(folder / "images" / name, np.zeros((40, 30, 3), np.uint8))
        images.append({"id": number, "file_name": name, "height": 40, "width": 30})
    images.append({"id": 7, "file_name": "gone.png"})
    path = folder / "boxes.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": list(categories)})
    )
    return path


def test_people_come_with_their_pictures_and_the_others_with_a_reason(tmp_path):
    (tmp_path / "masks").mkdir()
    write_image(tmp_path / "masks" / "a_2.png", np.zeros((40, 30, 3), np.uint8))
    annotations = [
        {
            "id": 1,
            "image_id": 0,
            "category_id": 1,
            "bbox": [1, 2, 10, 20],
            "segmentation": [[0, 0, 9, 0, 9, 9]],
        },
        {"id": 2, "image_id": 0, "category_id": 1, "bbox": [3, 4, 5, 6]},
        {"id": 3, "image_id": 0, "category_id": 2, "bbox": [3, 4, 5, 6]},
        {"id": 4, "image_id": 1, "category_id": 1, "bbox": [3, 4, 5, 6], "iscrowd": 1},
        {"id": 5, "image_id": 1, "category_id": 1, "bbox": [3, 4, -5, 6]},
        {"id": 6, "image_id": 7, "category_id": 1, "bbox": [3, 4, 5, 6]},
        {"id": 8, "image_id": 9, "category_id": 1, "bbox": [3, 4, 5, 6]},
    ]
    categories = [{"id": 1, "name": "Person"}, {"id": 2, "name": "dog"}]
    pictures, lost = boxed_pictures(write(tmp_path, annotations, categories=categories))
    assert [picture.name for picture in pictures] == ["a.png", "b.png"]
    assert [person.box for person in pictures[0].people] == [(1, 2, 10, 20), (3, 4, 5, 6)]
    assert pictures[0].size == (40, 30)
    assert pictures[0].people[0].mask.draw(40, 30)[0].any()
    assert pictures[0].people[1].mask.endswith("a_2.png")
    assert [one.reason for one in pictures[0].skipped] == ["no person"]
    assert [one.reason for one in pictures[1].skipped] == ["crowd", "box is missing or damaged"]
    assert [one.reason for one in lost] == ["image is missing", "annotation of an image that is not listed"]


def test_without_categories_everybody_is_a_person_and_nothing_is_one_line(tmp_path):
    path = write(tmp_path, [{"id": 3, "image_id": 0, "bbox": [3, 4, 5, 6]}])
    pictures, _ = boxed_pictures(path)
    assert [person.name for person in pictures[0].people] == ["a.png#3"]
    path.write_text(json.dumps({**json.loads(path.read_text()), "categories": 3}))
    assert boxed_pictures(path)[0][0].people == pictures[0].people
    path = write(tmp_path, [{"id": 3, "image_id": 7, "bbox": [3, 4, 5, 6]}])
    with pytest.raises(UserError, match="none of its 3 pictures that have annotations is there"):
        boxed_pictures(path)
