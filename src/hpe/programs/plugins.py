"""What a command line names besides flags: plugins, files of one's own, and recipes, flag files of the package."""

from __future__ import annotations

import importlib
import os
import pathlib
import re
import sys
from collections.abc import Sequence

from absl import flags

from hpe.errors import SettingError

_FLAGFILE = re.compile(r"--?flagfile=(.*)", re.DOTALL)


def plugins_in(argv: Sequence[str]) -> list[str]:
    """Returns the plugins that a command line names, in flag files too; other mistakes are told later."""
    first = flags.FlagValues()
    flags.DEFINE_list("plugins", [], "", flag_values=first)
    try:
        first(["program", *argv], known_only=True)
    except flags.Error:
        return []
    return list(first.plugins)


def load_plugins(plugins: Sequence[str]) -> None:
    """Imports modules that register systems, datasets or fields.

    Args:
        plugins: names of modules, or files that end in .py; other processes find what they import next to the file.

    Raises:
        SettingError: there is no such file or module, or another one of that name is imported already.
    """
    for plugin in plugins:
        path = pathlib.Path(os.path.expanduser(plugin))
        if path.suffix != ".py":
            try:
                importlib.import_module(plugin)
            except ModuleNotFoundError as error:
                raise SettingError("plugins", f"cannot be imported ({error}).", plugin) from None
            continue
        if not path.is_file():
            raise SettingError("plugins", "there is no such file.", plugin)
        folder = str(path.resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)
        module = importlib.import_module(path.stem)
        if pathlib.Path(module.__file__ or "").resolve() != path.resolve():
            raise SettingError(
                "plugins", f"another module is called {path.stem}: {module.__file__}; rename it.", plugin
            )


def recipes() -> dict[str, pathlib.Path]:
    """Returns the flag files that come with the package, by name."""
    package = pathlib.Path(__file__).resolve().parents[1]
    # In an installed package; in a checkout.
    folders = [package / "configs", package.parents[1] / "configs"]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.cfg"))} if folder else {}


def found_recipe(argument: str) -> str:
    """Puts the path of a recipe in place of its name in --flagfile=NAME; a file of that name goes before it."""
    match = _FLAGFILE.fullmatch(argument)
    if match is None or os.path.isfile(os.path.expanduser(match[1])):
        return argument
    known = recipes()
    name = pathlib.Path(match[1]).name.removesuffix(".cfg")
    if name not in known:
        raise SettingError(
            "flagfile", f"there is no such file; recipes of the package are {', '.join(known)}.", match[1]
        )
    return f"--flagfile={known[name]}"
