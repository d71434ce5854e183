"""Command-line flags made from configuration dataclasses, so that the dataclasses stay the single source.

A configuration is a frozen dataclass whose fields carry `metadata={"help": ...}`. `define` registers one absl
flag per field, `read` builds the dataclass from the parsed flags, and `run` starts a program. absl brings
`--flagfile=configs/recipe.cfg` with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import re
import sys
import types
import typing

from absl import app, flags, logging

from hpe.errors import SettingError, UserError

FLAGS = flags.FLAGS

# A setting that a text of the library names: its name, and perhaps a value.
_SETTING = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def define(config: type, *, defaults: dict | None = None) -> None:
    """Defines one flag per field of the dataclass `config`.

    Args:
        config: a dataclass with fields of type bool, int, float, str, `tuple[str, ...]` or an `enum.Enum` with
            string values; any of them may be `| None`.
        defaults: default values by field name that replace those of the dataclass, of an enum its value; names
            of other dataclasses are passed over.

    Raises:
        TypeError: if a field has another type.
    """
    defaults = defaults or {}
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        kind = _without_none(hints[field.name])
        default = defaults.get(field.name, _default(field))
        help_text = _SETTING.sub(_as_flag, field.metadata.get("help", ""))
        if kind is bool:
            flags.DEFINE_boolean(field.name, default, help_text)
        elif kind is int:
            flags.DEFINE_integer(field.name, default, help_text)
        elif kind is float:
            flags.DEFINE_float(field.name, default, help_text)
        elif kind is str:
            flags.DEFINE_string(field.name, default, help_text)
        elif isinstance(kind, type) and issubclass(kind, enum.Enum):
            values = [member.value for member in kind]
            default = default.value if isinstance(default, enum.Enum) else default
            flags.DEFINE_enum(field.name, default, values, help_text)
        elif typing.get_origin(kind) is tuple:
            flags.DEFINE_list(field.name, None if default is None else list(default), help_text)
        else:
            raise TypeError(f"No flag type for field {field.name} of {config.__name__}. Received: {kind}")
        # `--helpshort` shows the flags of the main module only, and these are defined in this one.
        FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[field.name])


def read(config: type):
    """Returns the dataclass `config` filled from the parsed flags that `define(config)` made."""
    hints = typing.get_type_hints(config)
    values = {}
    for field in dataclasses.fields(config):
        kind = _without_none(hints[field.name])
        value = FLAGS[field.name].value
        if value is not None and isinstance(kind, type) and issubclass(kind, enum.Enum):
            value = kind(value)
        elif value == "" and kind is str and kind is not hints[field.name]:
            value = None  # `--keep_best_metric=` takes an optional setting back
        elif typing.get_origin(kind) is tuple and value is not None:
            value = tuple(value)
        values[field.name] = value
    try:
        return config(**values)
    except SettingError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error


def message(error: UserError) -> str:
    """Returns what an error says, with settings written as flags: `batch_size=8` becomes --batch_size=8."""
    text = str(error)
    if isinstance(error, SettingError):
        text = f"{_as_flag(re.fullmatch(_SETTING, f'`{error.assignment}`'))}: {error.message}"
    return _SETTING.sub(lambda match: _as_flag(match) if match[1] in FLAGS else match[0], text)


def _as_flag(match: re.Match) -> str:
    name, value = match.groups()
    if value in ("True", "False"):
        return f"--{name}" if value == "True" else f"--no{name}"
    return f"--{name}" if value is None else f"--{name}={value}"


def run(main: typing.Callable[[], None], define_flags: typing.Callable[[], None] | None = None) -> None:
    """Parses the command line and calls `main()`; a UserError becomes one line on stderr and exit status 1.

    Args:
        main: the program.
        define_flags: defines its flags, where that may fail: with flags that depend on files.
    """

    def start(arguments: list[str]) -> None:
        with _ending():
            if len(arguments) > 1:
                raise UserError(f"unexpected argument {arguments[1]!r}: options are given as --name=value.")
            main()

    if define_flags is not None:
        with _ending():
            define_flags()
    logging.set_verbosity(logging.WARNING)
    app.run(start)


@contextlib.contextmanager
def _ending() -> typing.Iterator[None]:
    """Ends the process with one line where a UserError or Ctrl-C ends the block."""
    try:
        yield
    except UserError as error:
        print(f"error: {message(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _default(field: dataclasses.Field):
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def _without_none(hint):
    """Returns X for `X | None`, else the hint itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
        if len(choices) == 1:
            return choices[0]
    return hint
