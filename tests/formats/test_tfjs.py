import json

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats.tfjs import read_graph_model

HALF = np.array([[0.5, -2.0], [1.0, 65504.0]], np.float16)
COUNT = np.array(7, np.int32)


def model():
    return {
        "modelTopology": {
            "node": [{"name": "x", "op": "Placeholder"}, {"name": "y", "op": "Mul", "input": ["x", "half"]}]
        },
        "weightsManifest": [
            {
                "paths": ["a.bin", "b.bin"],
                "weights": [
                    {
                        "name": "half",
                        "shape": [2, 2],
                        "dtype": "float32",
                        "quantization": {"dtype": "float16"},
                    },
                    {"name": "count", "shape": [], "dtype": "int32"},
                ],
            }
        ],
    }


def write(tmp_path, content):
    values = HALF.tobytes() + COUNT.tobytes()
    (tmp_path / "a.bin").write_bytes(values[:5])
    (tmp_path / "b.bin").write_bytes(values[5:])
    path = tmp_path / "model.json"
    path.write_text(json.dumps(content))
    return path


def test_reads_nodes_and_tensors_over_several_files(tmp_path):
    graph = read_graph_model(write(tmp_path, model()))
    assert graph.nodes == {"x": ("Placeholder", ()), "y": ("Mul", ("x", "half"))}
    assert graph.tensors["half"].dtype == np.float32
    np.testing.assert_array_equal(graph.tensors["half"], HALF.astype(np.float32))
    assert graph.tensors["count"] == 7


def test_damage_is_one_line(tmp_path):
    def changed(**entry):
        content = model()
        content["weightsManifest"][0]["weights"][1] |= entry
        return content

    cases = [
        (changed(shape=[2]), "cut short"),
        (changed(shape=[0]), "4 bytes of weights belong to no tensor"),
        (changed(shape=[-1]), "a shape is a list of sizes"),
        (changed(shape="1"), "a shape is a list of sizes"),
        (changed(dtype="complex64"), "complex64"),
        (changed(quantization={"dtype": "uint8", "scale": 1.0}), "only those in float16"),
        ({"modelTopology": {"node": []}}, "weightsManifest"),
        (model() | {"weightsManifest": [{"paths": ["../a.bin"], "weights": []}]}, "lie beside it"),
        (model() | {"weightsManifest": [{"paths": ["c.bin"], "weights": []}]}, r"c\.bin: cannot be read"),
    ]
    for content, message in cases:
        with pytest.raises(UserError, match=message):
            read_graph_model(write(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        {"modelTopology": {"node": 3}, "weightsManifest": []},
        {"modelTopology": {"node": []}, "weightsManifest": 3},
        {"modelTopology": {"node": [{"name": 1, "op": 2, "input": 3}]}, "weightsManifest": []},
        {
            "modelTopology": {"node": []},
            "weightsManifest": [{"paths": [], "weights": [{"name": "a", "dtype": [], "shape": []}]}],
        },
        {
            "modelTopology": {"node": []},
            "weightsManifest": [
                {"paths": [], "weights": [{"name": "a", "dtype": "float32", "shape": [0, 2**70]}]}
            ],
        },
    ],
)
def test_odd_values_are_one_line(tmp_path, content):
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"model\.json") as caught:
        read_graph_model(tmp_path / "model.json")
    assert "\n" not in str(caught.value)
