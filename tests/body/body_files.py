"""Small bodies in the layout of SMPL's files, written by the tests themselves."""

import pickle
import sys
import types

import numpy as np
import scipy.sparse

PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21])


def random_tables(num_vertices=60, *, pose_dirs=True, keypoints=True, seed=0):
    """Returns the arrays of a random body under the names of SMPL's files."""
    generator = np.random.default_rng(seed)

    def sparse_rows(rows, per_row):
        table = np.zeros((rows, num_vertices))
        for row in table:
            row[generator.choice(num_vertices, per_row, replace=False)] = generator.random(per_row) + 0.1
        return table / table.sum(axis=1, keepdims=True)

    weights = generator.random((num_vertices, 24)) * (generator.random((num_vertices, 24)) < 0.15) + 1e-3
    tables = {
        "v_template": generator.normal(size=(num_vertices, 3)),
        "shapedirs": 0.1 * generator.normal(size=(num_vertices, 3, 10)),
        "J_regressor": sparse_rows(24, 6),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.stack([PARENTS, np.arange(24)]),
        "f": generator.integers(0, num_vertices, size=(80, 3)),
    }
    if pose_dirs:
        tables["posedirs"] = 0.05 * generator.normal(size=(num_vertices, 3, 207))
    if keypoints:
        tables["cocoplus_regressor"] = sparse_rows(19, 5)
    return tables


def smpl_sized_tables(**options):
    """Returns the arrays of a random body with as many vertices and faces as SMPL."""
    tables = random_tables(6890, **({"pose_dirs": False} | options))
    tables["f"] = np.random.default_rng(0).integers(0, 6890, size=(13776, 3))
    return tables


def write_pickle(path, tables, monkeypatch, protocol=2):
    """Writes tables as the public SMPL pickles do: sparse regressors, a chumpy array, the root as uint32 -1."""

    class Ch:
        """Looks in a pickle like chumpy.ch.Ch: an object with the array under `x`."""

        def __init__(self, x):
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module = types.ModuleType("chumpy.ch")
    module.Ch = Ch
    stored = dict(tables)
    stored["shapedirs"] = Ch(np.asarray(tables["shapedirs"]))
    stored["J_regressor"] = scipy.sparse.csc_matrix(tables["J_regressor"])
    if "cocoplus_regressor" in tables:
        stored["cocoplus_regressor"] = scipy.sparse.csr_matrix(tables["cocoplus_regressor"])
    stored["kintree_table"] = np.asarray(tables["kintree_table"]).astype(np.int64).astype(np.uint32)
    stored["f"] = np.asarray(tables["f"]).astype(np.uint32)
    stored["bs_style"] = "lbs"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
        patch.setitem(sys.modules, "chumpy.ch", module)
        path.write_bytes(pickle.dumps(stored, protocol=protocol))
    return path
