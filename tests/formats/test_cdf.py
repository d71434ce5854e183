"""CDF files: what cdflib writes comes back as cdflib reads it, and damage ends in one line."""

import contextlib

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats.cdf import load_cdf

cdflib = pytest.importorskip("cdflib")
cdfwrite = pytest.importorskip("cdflib.cdfwrite")


def write(path, values, *, compress=0, majority="row_major", encoding=6, whole=0):
    spec = {"Majority": majority, "Encoding": encoding, "Compressed": whole}
    with cdfwrite.CDF(path, cdf_spec=spec, delete=True) as file:
        variable = {
            "Variable": "Pose",
            "Data_Type": file.CDF_DOUBLE if values.dtype == np.float64 else file.CDF_FLOAT,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(values.shape[1:]),
            "Compress": compress,
        }
        file.write_var(variable, var_data=values)
        other = variable | {"Variable": "Other", "Data_Type": file.CDF_INT4, "Dim_Sizes": []}
        file.write_var(other, var_data=np.arange(7, dtype=np.int32))
    return path


@pytest.mark.parametrize(
    "options", [{}, {"compress": 6}, {"majority": "column_major"}, {"encoding": 1}, {"whole": 6}]
)
@pytest.mark.parametrize("shape", [(1, 9, 12), (40, 5), (3, 2, 4, 5)])
def test_variables_come_back(tmp_path, options, shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    path = write(tmp_path / "a.cdf", values, **options)
    found = load_cdf(path, "Pose")
    assert found.shape == shape
    np.testing.assert_array_equal(found, cdflib.CDF(path).varget("Pose"))
    np.testing.assert_array_equal(load_cdf(path, "Other"), np.arange(7))


def test_what_is_absent_is_told(tmp_path):
    path = write(tmp_path / "a.cdf", np.zeros((2, 3)))
    with pytest.raises(UserError, match=r"a\.cdf: has no variable Angles; it holds Other, Pose"):
        load_cdf(path, "Angles")
    path.write_bytes(b"no CDF")
    with pytest.raises(UserError, match=r"a\.cdf: not a readable CDF file"):
        load_cdf(path, "Pose")


@pytest.mark.parametrize("compress", [0, 6])
def test_damage_is_a_user_error(tmp_path, compress):
    path = write(tmp_path / "a.cdf", np.zeros((4, 30)), compress=compress)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        for changed in (content[:place], content[:place] + b"\x7f" + content[place + 1 :]):
            path.write_bytes(changed)
            with contextlib.suppress(UserError):
                load_cdf(path, "Pose")
