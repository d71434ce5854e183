"""How configuration dataclasses describe their fields: flags are made from them, and JSON is written and read."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import math
import types
import typing

from hpe.errors import SettingError


def option(default, help_text: str, *, repeated: bool = False):
    """Returns a dataclass field with a default and the text that the help of programs shows.

    Other settings are named in it in backquotes, such as `batch_size=8`; programs write them as their flags.
    """
    return dataclasses.field(default=default, metadata={"help": help_text, "repeated": repeated})


def require_at_least(config, least: float, *names: str) -> None:
    """Raises SettingError if one of these settings of a dataclass is below a number."""
    for name in names:
        if (value := getattr(config, name)) < least:
            raise SettingError(name, f"must be at least {least}.", value)


def require_not_negative(config, *names: str) -> None:
    """Raises SettingError if one of these settings, such as weights of losses, is below 0, infinite or NaN."""
    for name in names:
        if not 0 <= (value := getattr(config, name)) < math.inf:
            raise SettingError(name, "must be finite and not negative.", value)


class UnfitError(ValueError):
    """A value read from a file does not fit the type that it is wanted as.

    Attributes:
        path: where the value stands, such as `model.num_stage` or `shards[2].bytes`; empty for the whole.
        message: what is wrong with it.
    """

    def __init__(self, path: str, message: str):
        super().__init__(path, message)
        self.path = path
        self.message = message

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def to_plain(value):
    """Returns a dataclass, or what it may hold, as what JSON knows; `from_plain` is the way back."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, collections.abc.Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind, value, *, path: str = ""):
    """Returns what JSON said as the type that it is wanted as.

    Args:
        kind: a dataclass; or bool, int, float, str, an `enum.Enum`, `tuple[X, ...]`, `list[X]`, `dict[str, X]`,
            several of them with `|`, `object` for anything. A whole number is a float, too; nothing else changes
            its type.
        value: what a JSON file held.
        path: where it stands, for messages.

    Raises:
        UnfitError: naming the place, what is there, and what was wanted; also for settings that the dataclass does
            not have, or needs and are not there.
    """
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _from_any_of(typing.get_args(kind), value, path)
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if dataclasses.is_dataclass(origin):
        return _from_object(origin, value, path)
    if origin in (tuple, list) and isinstance(value, list):
        item = arguments[0] if arguments else object
        return origin(from_plain(item, one, path=f"{path}[{i}]") for i, one in enumerate(value))
    if origin in (dict, collections.abc.Mapping) and isinstance(value, dict):
        item = arguments[1] if arguments else object
        return {key: from_plain(item, one, path=_join(path, key)) for key, one in value.items()}
    if origin in (object, typing.Any) or (origin is types.NoneType and value is None):
        return value
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        if value in [member.value for member in origin]:
            return origin(value)
    elif origin is float and type(value) is int:
        return float(value)
    elif type(value) is origin:
        return value
    raise UnfitError(path, f"cannot be {_shown(value)}; expected {_described(kind)}")


def _from_any_of(kinds, value, path: str):
    """Returns the value as the first of several types that it fits."""
    dataclass = next(filter(dataclasses.is_dataclass, kinds), None)
    if dataclass is not None and isinstance(value, dict):
        return from_plain(dataclass, value, path=path)  # its own message says more than "none of these"
    for kind in kinds:
        try:
            return from_plain(kind, value, path=path)
        except UnfitError:
            continue
    raise UnfitError(path, f"cannot be {_shown(value)}; expected {' or '.join(map(_described, kinds))}")


def _from_object(kind: type, value, path: str):
    if not isinstance(value, dict):
        raise UnfitError(
            path, f"cannot be {_shown(value)}; expected an object with the settings of {kind.__name__}"
        )
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    unknown = sorted(value.keys() - fields.keys())
    if unknown:
        raise UnfitError(_join(path, unknown[0]), "unknown setting")
    absent = [name for name, field in fields.items() if name not in value and _is_needed(field)]
    if absent:
        raise UnfitError(_join(path, absent[0]), "is missing")
    values = {name: from_plain(hints[name], one, path=_join(path, name)) for name, one in value.items()}
    try:
        return kind(**values)
    except SettingError as error:
        raise UnfitError(_join(path, error.setting), error.message) from error
    except (TypeError, ValueError) as error:
        raise UnfitError(path, str(error)) from error


def _shown(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_needed(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _described(kind) -> str:
    origin = typing.get_origin(kind) or kind
    if origin is types.NoneType:
        return "null"
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return " or ".join(repr(member.value) for member in origin)
    names = {tuple: "a list", list: "a list", dict: "an object", str: "a string", bool: "true or false"}
    return names.get(origin, getattr(origin, "__name__", str(origin)))
