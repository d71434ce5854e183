import dataclasses

import pytest

from hpe import systems
from hpe.datasets import pose_sequence
from hpe.errors import SettingError
from hpe.systems import inputs
from hpe.systems.inputs import ImageInput, JointsInput


def test_the_joint_set_follows_the_joints_unless_it_is_named():
    assert JointsInput().skeleton == "h36m16"
    assert JointsInput(keypoints="sh").skeleton == "mpii16"
    assert JointsInput(keypoints="sh", input_skeleton="coco17").skeleton == "coco17"


def test_ground_truth_is_called_as_in_sequences():
    assert inputs.GROUND_TRUTH == pose_sequence.GROUND_TRUTH


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ImageInput, {"img_size": 0}),
        (ImageInput, {"box_share": 1.5}),
        (JointsInput, {"keypoints": ""}),
        (JointsInput, {"input_skeleton": "cat"}),
    ],
)
def test_values_without_sense_are_refused_with_their_name(kind, change):
    with pytest.raises(SettingError, match="must ") as error:
        kind(**change)
    assert error.value.setting == next(iter(change))


@pytest.mark.parametrize("name", systems.names())
def test_every_system_says_what_it_is_shown_with_help_for_each_setting(name):
    fields = dataclasses.fields(systems.get(name).input)
    assert fields
    assert all(field.metadata["help"] for field in fields)
