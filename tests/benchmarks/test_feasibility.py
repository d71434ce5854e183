"""The table of feasibility: what is set aside is not in the reference, and its rows are in the order of sense."""

import numpy as np
import pytest

from benchmarks import feasibility
from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.records.mocap import write_frames
from tests.programs.running import run


@pytest.mark.parametrize(("passage", "aside"), [(1, [5, 15, 25]), (4, [20, 21, 22, 23])])
def test_a_tenth_is_set_aside_in_passages(passage, aside):
    poses = np.arange(31)[:, None] + np.zeros(72)
    kept, held_out = feasibility.set_aside([poses], passage)
    assert held_out[:, 0].tolist() == aside
    assert sorted([*kept[0][:, 0], *held_out[:, 0]]) == list(range(31))


def test_what_is_less_of_a_person_scores_worse():
    # A body that bends knee and elbow together, slowly.
    bend = np.sin(np.linspace(0, 20, 4000))
    poses = np.zeros((len(bend), 24, 3))
    poses[:, 4, 0] = poses[:, 18, 1] = 1 + bend
    body = BodyModel(load_body_model())
    names = "frames set aside", "another frame", "random rotations"
    rows = {
        name: {
            metric.name.partition("@")[0]: metric.value
            for metric in feasibility.judge(asked, reference, body)
        }
        for name, (reference, asked) in feasibility.groups([poses.reshape(-1, 72)], body).items()
    }
    real, mixed, wild = (next(rows[row] for row in rows if name in row) for name in names)
    assert real["nearest_mocap_pose"] < 0.2 < 1 < mixed["nearest_mocap_pose"] < wild["nearest_mocap_pose"]
    assert real["angles_outside_limits"] == mixed["angles_outside_limits"] == 0
    assert wild["angles_outside_limits"] > 50
    assert real["limb_asymmetry"] < 2


def test_the_command_prints_a_table(tmp_path, capsys):
    frames = np.random.default_rng(0).normal(scale=0.2, size=(2100, 72))
    write_frames(((pose, np.zeros(10)) for pose in frames), tmp_path, "CMU")
    run(feasibility, f"--data_dir={tmp_path}", "--mocap_datasets=CMU")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "CMU: 2100 frames"
    assert lines[2].startswith(
        "| poses | angles_outside_limits@mocap, % | nearest_mocap_pose@mocap, degrees |"
    )
    assert len(lines) == 9
    assert len({line.count("|") for line in lines[2:]}) == 1
