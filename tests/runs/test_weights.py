import types

import keras
import numpy as np
import pytest

from hpe import systems
from hpe.errors import UserError
from hpe.runs.weights import StoredWeights, all_networks, assign, named_variables


def network(*names):
    """A functional network of dense layers, some without a name of their own (None)."""
    x = inputs = keras.Input((3,))
    for name in names:
        x = keras.layers.Dense(3, name=name)(x)
    return keras.Model(inputs, x)


def test_a_name_is_the_network_and_the_path_in_it():
    net = network("first", "second")
    assert list(named_variables({"encoder": net})) == [
        *("encoder/first/kernel", "encoder/first/bias", "encoder/second/kernel", "encoder/second/bias"),
    ]


def test_names_do_not_depend_on_what_else_the_process_has_built():
    first = list(named_variables({"net": network(None, "a", None)}))
    network(None, None, None)
    assert list(named_variables({"net": network(None, "a", None)})) == first
    assert first[::2] == ["net/dense/kernel", "net/a/kernel", "net/dense_1/kernel"]


def test_a_model_that_is_numbered_itself_leaves_its_number_out():
    class Block(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(2, name="inner")
            self.inner.build((None, 2))
            self.scale = self.add_weight(shape=(1,), name="scale")
            self.built = True

    for _ in range(2):
        assert set(named_variables({"block": Block()})) == {
            *("block/inner/kernel", "block/inner/bias", "block/scale"),
        }


def test_two_variables_of_one_name_are_a_mistake_of_the_network():
    variables = [keras.Variable(np.zeros(1, np.float32), name="weight") for _ in range(2)]
    twice = types.SimpleNamespace(name="net", variables=variables)
    with pytest.raises(ValueError, match="two variables are called net/weight"):
        named_variables({"net": twice})


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("hybrid_hmr", {"encoder": "small", "encoder_weights": "none"}),
        ("lifter", {"linear_size": 8}),
    ],
)
def test_every_variable_of_a_system_has_a_name_of_its_own_the_same_each_time(name, settings):
    entry = systems.get(name)
    found = []
    for _ in range(2):
        system = entry.build(entry.config(**settings), entry.input(), pretrained=False)
        found.append(list(named_variables(all_networks(system))))
        assert len(found[-1]) == sum(len(net.variables) for net in all_networks(system).values())
    assert found[0] == found[1]


def stored(arrays, spoiled=()):
    def read(name):
        if name in spoiled:
            raise UserError(f"file: {name} is damaged.")
        return arrays[name]

    return StoredWeights("file", {name: array.shape for name, array in arrays.items()}, read)


def test_nothing_is_assigned_before_all_has_been_compared_and_read():
    system = types.SimpleNamespace(networks={"net": network("a", "b")})
    variables = named_variables(system.networks)
    before = {name: variable.numpy() for name, variable in variables.items()}
    good = {name: np.full_like(value, 2) for name, value in before.items()}
    lacking = {name: value for name, value in good.items() if name != "net/b/bias"}
    for wrong, message in (
        (stored(lacking), r"its net is of another architecture .*net/b/bias is absent, expected \(3,\)"),
        (stored({**good, "net/b/bias": np.zeros(4)}), r"net/b/bias is \(4,\), expected \(3,\)"),
        (stored({**good, "net/c/bias": np.zeros(4)}), r"net/c/bias is \(4,\), expected absent"),
        (stored({"other/a": np.zeros(1)}), "holds no net"),
        (stored(good, spoiled=["net/b/kernel"]), "net/b/kernel is damaged"),
    ):
        with pytest.raises(UserError, match=message):
            assign(system, wrong)
        for name, variable in variables.items():
            np.testing.assert_array_equal(variable.numpy(), before[name])
    assign(system, stored(good))
    assert all((variable.numpy() == 2).all() for variable in variables.values())
