"""Command-line flags made from configuration dataclasses, so that the dataclasses stay the single source.

A configuration is a frozen dataclass whose fields carry `metadata={"help": ...}`. `define` registers one absl
flag per field, `read` builds the dataclass from the parsed flags, and `run` starts a program. absl brings
`--flagfile` with it; a recipe of the package is found by its name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import pathlib
import re
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Sequence

from absl import flags

from hpe.errors import SettingError, UserError
from hpe.programs.plugins import found_recipe, load_plugins, plugins_in
from hpe.programs.undisturbed import undisturbed

FLAGS = flags.FLAGS

# A setting that a text of the library names: its name, and perhaps a value.
_SETTING = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

# What newcomers call a flag whose letters are far from that.
_CALLED = {"export": "save"}

_HELP = re.compile(r"--?(h|help|helpshort|helpfull|\?)(=true)?", re.IGNORECASE)
_WIDTH = 100
_COMMON = "Every program"

# What `define` made, for the help: names of flags under the line that says what they are about.
_topics: dict[str, list[str]] = {}

# What the command line names without any flag.
_arguments: list[str] = []


def define(config: type, *, defaults: dict | None = None, topic: str | None = None) -> None:
    """Defines one flag per field of the dataclass `config`.

    Args:
        config: a dataclass with fields of type bool, int, float, str, `tuple[str, ...]` or an `enum.Enum` with
            string values; any of them may be `| None`. A tuple is a list with commas, or of an option that is
            `repeated` one flag for each entry.
        defaults: default values by field name that replace those of the dataclass, of an enum its value; names
            of other dataclasses are passed over.
        topic: what the flags are about, for the help; by default what the dataclass says of itself.

    Raises:
        TypeError: if a field has another type.
    """
    defaults = defaults or {}
    hints = typing.get_type_hints(config)
    names = []
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
        elif typing.get_origin(kind) is tuple and field.metadata.get("repeated"):
            flags.DEFINE_multi_string(field.name, list(default or ()), help_text)
        elif typing.get_origin(kind) is tuple:
            flags.DEFINE_list(field.name, None if default is None else list(default), help_text)
        else:
            raise TypeError(f"No flag type for field {field.name} of {config.__name__}. Received: {kind}")
        names.append(field.name)
    describe(topic or (config.__doc__ or config.__name__).splitlines()[0].rstrip("."), *names)


def describe(topic: str, *names: str) -> None:
    """Puts flags under a topic of the help, before those that `define` will add to it."""
    _topics.setdefault(topic, []).extend(names)


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
            value = tuple(map(_expanded, value))
        elif kind is str and value is not None:
            value = _expanded(value)
        values[field.name] = value
    try:
        return config(**values)
    except SettingError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error


def arguments() -> list[str]:
    """Returns what the command line names without any flag, of a program that takes that."""
    return [_expanded(argument) for argument in _arguments]


def message(error: UserError) -> str:
    """Returns what an error says, with settings written as flags: `batch_size=8` becomes --batch_size=8."""
    text = str(error)
    if isinstance(error, SettingError):
        text = f"{_as_flag(re.fullmatch(_SETTING, f'`{error.assignment}`'))}: {error.message}"
    return _SETTING.sub(lambda match: _as_flag(match) if match[1] in FLAGS else match[0], text)


def run(
    main: Callable[[], None],
    define_flags: Callable[[], None] | None = None,
    *,
    start: Callable[[], None] | None = None,
    takes_arguments: bool = False,
    command: str | None = None,
    summary: str = "",
    argv: Sequence[str] | None = None,
) -> None:
    """Parses the command line and calls `main()`; a UserError becomes one line on stderr and exit status 1.

    Args:
        main: the program.
        define_flags: defines its flags, which plugins may add to; None if they are defined.
        start: what is done before `main` and not for the help, such as importing TensorFlow.
        takes_arguments: whether arguments that are no flags are for the program; see `arguments`.
        command: how the program is called, for the help.
        summary: what it does, for the help.
        argv: the command line without the program; by default that of this process.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    command = command or pathlib.Path(sys.argv[0]).stem
    _topics_of_this_process()
    with _ending(), undisturbed():
        given = [found_recipe(argument) for argument in given]
        load_plugins(plugins_in(given))
        if define_flags is not None:
            define_flags()
        if any(_HELP.fullmatch(argument) for argument in given):
            print(help_text(command, summary, takes_arguments=takes_arguments))
            return
        parse(given, command=command, takes_arguments=takes_arguments)
        if start is not None:
            start()
        main()


def parse(argv: Sequence[str], *, command: str = "program", takes_arguments: bool = False) -> None:
    """Fills the flags, and what `arguments` returns, from a command line without its program.

    Raises:
        UserError: it does not fit the flags that are defined.
    """
    try:
        rest = FLAGS([command, *argv])[1:]
    except flags.Error as error:
        raise UserError(f"{_one_line(error)} See {command} --help.") from None
    if rest and not takes_arguments:
        raise UserError(f"unexpected argument {rest[0]!r}: options are given as --name=value.")
    _arguments[:] = rest


def help_text(command: str, summary: str = "", *, takes_arguments: bool = False) -> str:
    """Returns the help of a program: its flags by topic, each with its default."""
    files = " [FILE ...]" if takes_arguments else ""
    lines = [f"Usage: {command} [--FLAG=VALUE ...]{files}", ""]
    if summary:
        lines += [*textwrap.wrap(summary, _WIDTH), ""]
    for topic, names in {**_topics, _COMMON: ["plugins"]}.items():
        names = [name for name in dict.fromkeys(names) if name in FLAGS]
        if names:
            lines += [f"{topic}:", *(line for name in names for line in _help_lines(name)), ""]
    # absl knows it without a definition.
    lines[-1:] = _wrapped(f"--flagfile: {_FLAGFILE_HELP}")
    return "\n".join(lines).rstrip()


def _help_lines(name: str) -> list[str]:
    flag = FLAGS[name]
    text = flag.help or ""
    value = f"--[no]{name}" if flag.boolean else f"--{name}"
    if flag.default not in (None, "", []) and not (flag.boolean and flag.default is False):
        shown = ",".join(map(str, flag.default)) if isinstance(flag.default, list) else flag.default
        text = f"{text} (default: '{shown}')"
    return _wrapped(f"{value}: {text}")


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="      ")


_FLAGFILE_HELP = (
    "File of flags, one a line, or the name of a recipe of the package, such as hybrid_hmr_small."
)


# ---- the end of a program ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Ends the process with one line where a UserError or Ctrl-C ends the block."""
    try:
        yield
    except UserError as error:
        print(f"error: {message(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


# ---- details -----------------------------------------------------------------------------------------------


def _topics_of_this_process() -> None:
    """Defines what every program has."""
    if "plugins" not in FLAGS:
        flags.DEFINE_list(
            "plugins",
            [],
            "Python files or modules that register systems, datasets or fields, such as my_system.py.",
        )


def _one_line(error: Exception) -> str:
    """Returns a message of absl as one sentence."""
    text = " ".join(str(error).split()).removeprefix("flag ")
    text = text[:1].lower() + text[1:] if text.startswith("Unknown") else text
    text = re.sub(r"Did you mean: (.*) \?$", lambda found: f"Did you mean {_as_flags(found[1])}?", text)
    called = _CALLED.get(getattr(error, "flagname", ""))
    if called in FLAGS and not text.endswith("?"):
        text = f"{text.rstrip('.')}. Did you mean --{called}?"
    return text if text.endswith((".", "?")) else f"{text}."


def _as_flags(names: str) -> str:
    return " or ".join(f"--{name}" for name in names.split(" or "))


def _expanded(value: str) -> str:
    """Puts the home folder in place of ~, which a shell does at the start of a word but not behind `=`."""
    return os.path.expanduser(value) if value.startswith("~") else value


def _as_flag(match: re.Match) -> str:
    name, value = match.groups()
    if value in ("True", "False"):
        return f"--{name}" if value == "True" else f"--no{name}"
    return f"--{name}" if value is None else f"--{name}={value}"


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
