"""The rules of the house, held by every public function that a user of the package meets, and its page."""

import dataclasses
import importlib
import importlib.util
import inspect
import pathlib
import re

import pytest

import hpe

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What people call: the package itself, and the modules that its docstrings send them to.
MODULES = (
    "hpe.export.model_files",
    "hpe.export.people",
    "hpe.inference.persons",
    "hpe.inference.pictures",
    "hpe.people.person",
    "hpe.visualization.view",
    "hpe.visualization.views",
)

_SHAPE = re.compile(r"\((\.\.\.|\w+), ?(\w+'?, ?)*\w*\)|shaped|scalar")


def public_values():
    """Yields (name, value) of the public classes and functions."""
    for name in hpe.__all__:
        if name != "__version__":
            yield f"hpe.{name}", getattr(hpe, name)
    for module in MODULES:
        for name, value in vars(importlib.import_module(module)).items():
            defined = getattr(value, "__module__", None) == module
            if defined and not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                yield f"{module}.{name}", value


def functions():
    """Yields (name, function) of the public functions and of the methods of public classes."""
    found = {}
    for name, value in public_values():
        if inspect.isfunction(value):
            found.setdefault(value, name)
        elif not issubclass(value, Exception):
            for member, method in vars(value).items():
                if inspect.isfunction(method) and not member.startswith("_"):
                    found.setdefault(method, f"{name}.{member}")
    return sorted((name, function) for function, name in found.items())


FUNCTIONS = functions()
CASES = pytest.mark.parametrize("function", [f for _, f in FUNCTIONS], ids=[name for name, _ in FUNCTIONS])


def parameters(function):
    return [parameter for name, parameter in inspect.signature(function).parameters.items() if name != "self"]


def test_there_are_public_functions():
    names = {name for name, _ in FUNCTIONS}
    assert {"hpe.load", "hpe.Model.predict", "hpe.Person.draw", "hpe.Person.save"} <= names
    assert all(inspect.getdoc(value) for _, value in public_values())


@CASES
def test_options_are_given_by_name(function):
    for parameter in parameters(function):
        if parameter.default is not parameter.empty:
            assert parameter.kind is parameter.KEYWORD_ONLY, parameter


@CASES
def test_arguments_results_and_errors_are_said(function):
    text = inspect.getdoc(function)
    assert text
    assert text.splitlines()[0].endswith("."), "the first line is one sentence"
    many = len(parameters(function)) > 1
    for parameter in parameters(function):
        if "Args:" in text:
            assert re.search(rf"^    (\w+, )*{parameter.name}(, \w+)*: ", text, re.MULTILINE), parameter
        else:
            assert not many, "several arguments have a list"
    returned = inspect.signature(function).return_annotation
    assert returned is not inspect.Signature.empty
    if str(returned) not in ("None", "bool"):
        assert re.search(
            r"\b(Returns|Reads|Turns|Cuts|Draws|Shows|Finds|Places|Writes|Lifts|Loads|Yields)\b", text
        )


@CASES
def test_shapes_of_arrays_are_named(function):
    text = inspect.getdoc(function)
    signature = inspect.signature(function)
    annotations = [parameter.annotation for parameter in signature.parameters.values()]
    if any("ndarray" in str(annotation) for annotation in [*annotations, signature.return_annotation]):
        assert _SHAPE.search(text), text


def test_every_field_of_a_dataclass_is_said():
    for name, value in public_values():
        if dataclasses.is_dataclass(value):
            text = inspect.getdoc(value)
            for field in dataclasses.fields(value):
                assert re.search(rf"^    (\w+, )*{field.name}(, \w+)*: ", text, re.MULTILINE), (
                    name,
                    field.name,
                )


def test_a_person_has_exactly_the_fields_of_the_design():
    assert [field.name for field in dataclasses.fields(hpe.Person)] == [
        *("box", "score", "track_id", "joints2d", "confidence", "skeleton", "joints3d", "joints3d_skeleton"),
        *("vertices", "faces", "camera", "translation", "body", "reprojection_error", "maps"),
    ]
    with pytest.raises(dataclasses.FrozenInstanceError):
        hpe.BodyParameters("smpl", None, None).model = "other"


def test_the_page_of_the_interface_is_what_the_docstrings_say():
    spec = importlib.util.spec_from_file_location("build_api_page", ROOT / "tools" / "build_api_page.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert (ROOT / "docs" / "api.md").read_text() == tool.page(), "run python tools/build_api_page.py"
