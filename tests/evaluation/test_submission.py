"""The course's prediction files: exact headers, ids, and what comes back."""

import gzip
import types

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.evaluation.judged import Judged
from hpe.evaluation.submission import Submission, header, write_submission
from hpe.records.manifest import Manifest
from hpe.records.reading import DatasetShards
from hpe.systems.prediction import Prediction


def read(path):
    """The joints (N, 17, 2 or 3) of a file."""
    values = np.loadtxt(path, delimiter=",", skiprows=1)[:, 1:]
    return values.reshape(len(values), 17, -1)


def test_headers_are_the_courses():
    assert header(2).startswith("Id,Hip_x,Hip_y,RHip_x,RHip_y,RKnee_x,")
    assert header(3).startswith("Id,Hip_x,Hip_y,Hip_z,RHip_x,")
    assert header(3).endswith("RWrist_x,RWrist_y,RWrist_z")
    assert len(header(2).split(",")) == 35
    assert len(header(3).split(",")) == 52


@pytest.mark.parametrize(("dimensions", "name"), [(2, "submission.csv"), (3, "final_submission.csv.gz")])
def test_rows_come_back_in_order(tmp_path, dimensions, name):
    joints = np.random.default_rng(0).normal(scale=300, size=(5, 17, dimensions))
    write_submission(tmp_path / name, joints)
    np.testing.assert_allclose(read(tmp_path / name), joints, rtol=1e-5)
    content = (tmp_path / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    assert [line.split(",")[0] for line in text.splitlines()] == ["Id", "1", "2", "3", "4", "5"]


def test_equal_predictions_give_equal_files(tmp_path):
    joints = np.ones((2, 17, 3))
    for name in ("a.csv.gz", "b.csv.gz"):
        write_submission(tmp_path / name, joints)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_what_is_not_finite_is_named_and_nothing_written(tmp_path):
    joints = np.zeros((3, 17, 2))
    joints[1, 4, 0] = np.nan
    with pytest.raises(UserError, match=r"submission\.csv: the prediction of row 2 is not finite"):
        write_submission(tmp_path / "submission.csv", joints)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_refuses(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_submission(tmp_path / "file" / "submission.csv", np.zeros((1, 17, 2)))


def test_records_that_lack_images_are_refused(tmp_path):
    manifest = Manifest("valid", "h36m17", [], skipped={"image is missing": ["b.jpg"]})
    whole = DatasetShards("whole", (), 3, Manifest("whole", "h36m17", []))
    Submission.check([whole])
    with pytest.raises(UserError, match=r"submission: valid lacks 1 images \(image is missing: b\.jpg"):
        Submission.check([whole, DatasetShards("valid", (), 2, manifest)])


def test_what_was_judged_is_written(tmp_path):
    system = types.SimpleNamespace(
        skeleton="h36m17",
        lifter=types.SimpleNamespace(input_skeleton="h36m17"),
        normalize2d=lambda joints2d: 2 * joints2d,
    )
    submission = Submission(system)
    joints2d, joints3d = np.random.default_rng(0).normal(size=(2, 5, 17, 3))
    for rows in (slice(0, 3), slice(3, 5)):
        prediction = Prediction("h36m17", joints2d[rows, :, :2], joints3d[rows])
        submission.add(Judged({}, prediction, system, "h36m17", "h36m17"))
    assert submission.write(tmp_path) == ["submission.csv", "final_submission.csv.gz"]
    np.testing.assert_allclose(read(tmp_path / "submission.csv"), 2 * joints2d[..., :2], rtol=1e-4)
    np.testing.assert_allclose(read(tmp_path / "final_submission.csv.gz"), 1000 * joints3d, rtol=1e-4)
    system.skeleton = "mpii16"
    with pytest.raises(UserError, match="needs `system=hrnet_lifter`"):
        Submission(system)
