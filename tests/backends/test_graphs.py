"""Ready graphs: their weights are given by name, and rows of a batch may be shared among cores."""

import numpy as np
import pytest

from hpe.backends import graphs


@pytest.fixture
def path(tmp_path):
    """A graph y = x w + 1, whose w is given later."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    weight = onnx.TensorProto(name="dense/w", data_type=float32, dims=[3, 2])
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights")
    one = onnx.numpy_helper.from_array(np.float32([1]), "one")
    nodes = [
        helper.make_node("MatMul", ["x", "dense/w"], ["p"]),
        helper.make_node("Add", ["p", "one"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info(*value)
        for value in (("x", float32, [None, 3]), ("y", float32, [None, 2]))
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [one, weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "g.onnx"


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_rows_stay_in_order_however_many_cores_share_them(path, monkeypatch, cores):
    monkeypatch.setattr(graphs, "usable_cores", lambda: cores)
    weight = np.arange(6, dtype=np.float16).reshape(3, 2)
    graph = graphs.Graph(path, {"dense/w": weight})
    for count in (1, 2, 5):
        x = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
        np.testing.assert_allclose(graph(x=x)["y"], x @ weight.astype(np.float32) + 1, rtol=1e-6)


@pytest.mark.parametrize("weights", [{}, {"other": np.zeros((3, 2))}, {"dense/w": np.zeros((4, 2))}])
def test_weights_of_another_network_do_not_fit(path, weights):
    with pytest.raises(ValueError, match=r"g\.onnx: does not go with its weights"):
        graphs.Graph(path, weights)
