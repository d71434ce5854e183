import dataclasses
import enum
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe.errors import SettingError
from hpe.options import UnfitError, from_plain, option, to_plain


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Part:
    size: int
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Whole:
    rate: float = option(0.5, "Rate.")
    name: str | None = option(None, "Name.")
    on: bool = option(True, "Switch.")
    color: Color = option(Color.RED, "Color.")
    parts: tuple[Part, ...] = ()
    part: Part | None = None
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    any: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.rate < 0:
            raise SettingError("rate", "must not be negative.", self.rate)


parts = st.builds(Part, size=st.integers(), names=st.lists(st.text()).map(tuple))
wholes = st.builds(
    Whole,
    rate=st.floats(0, 1e300),
    name=st.none() | st.text(),
    on=st.booleans(),
    color=st.sampled_from(Color),
    parts=st.lists(parts, max_size=3).map(tuple),
    part=st.none() | parts,
    notes=st.dictionaries(st.text(), st.lists(st.text(), max_size=2), max_size=2),
    any=st.just({"a": [1, None, {"b": 2.5}]}),
)


@given(wholes)
def test_the_way_through_json_and_back_changes_nothing(whole):
    assert from_plain(Whole, json.loads(json.dumps(to_plain(whole)))) == whole


def test_a_whole_number_is_a_float_and_nothing_else_changes_its_type():
    assert type(from_plain(Whole, {"rate": 1}).rate) is float
    with pytest.raises(UnfitError):
        from_plain(Part, {"size": 1.0})


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ([], "", "cannot be []; expected an object with the settings of Whole"),
        ({"tempo": 3}, "tempo", "unknown setting"),
        ({"rate": "fast"}, "rate", "cannot be 'fast'; expected float"),
        ({"rate": True}, "rate", "cannot be True; expected float"),
        ({"rate": -1.0}, "rate", "must not be negative."),
        ({"on": 1}, "on", "cannot be 1; expected true or false"),
        ({"name": 1}, "name", "cannot be 1; expected a string or null"),
        ({"color": "odd"}, "color", "cannot be 'odd'; expected 'red' or 'blue'"),
        ({"color": ["red"]}, "color", "cannot be ['red']; expected 'red' or 'blue'"),
        ({"parts": {}}, "parts", "cannot be {}; expected a list"),
        ({"parts": [{"size": 1}, {}]}, "parts[1].size", "is missing"),
        ({"parts": [{"size": 1, "names": "ab"}]}, "parts[0].names", "cannot be 'ab'; expected a list"),
        ({"part": {"size": "big"}}, "part.size", "cannot be 'big'; expected int"),
        ({"part": 3}, "part", "cannot be 3; expected Part or null"),
        ({"notes": {"a": [1]}}, "notes.a[0]", "cannot be 1; expected a string"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(value, path, message):
    with pytest.raises(UnfitError) as error:
        from_plain(Whole, value)
    assert (error.value.path, error.value.message) == (path, message)
    assert str(error.value) == (f"{path}: {message}" if path else message)
