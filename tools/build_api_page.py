"""Writes docs/api.md from the docstrings of the package's public names: `python tools/build_api_page.py`.

A test compares the page with what this makes, so that it cannot drift.
"""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import re
import sys

import hpe

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "api.md"

_HEAD = """# The Python interface

`import hpe` takes no time and imports no TensorFlow; loading a model does. This page is made from the docstrings by
`python tools/build_api_page.py`, and a test holds it true.

```python
import hpe

model = hpe.load("runs/x")
people = model.predict(image)
people[0].joints3d, people[0].vertices, people[0].camera
people[0].draw(image)
people[0].save("person.json")
```
"""

_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):$")
_ENTRY = re.compile(r"^([\w*, ]+): (.*)$")
_BODY_INDENT = 4


def page() -> str:
    """Returns the whole page."""
    parts = [_HEAD]
    for name in sorted(set(hpe.__all__) - {"__version__"}, key=_order):
        parts += [f"## `hpe.{name}`\n", *_describe(f"hpe.{name}", getattr(hpe, name))]
    return "\n".join(parts).rstrip() + "\n"


def _order(name: str) -> tuple[int, str]:
    """Functions first, then what they return, errors last."""
    value = getattr(hpe, name)
    if inspect.isfunction(value):
        return 0, name
    if issubclass(value, Exception):
        return 2, name
    return 1, name


def _describe(name: str, value) -> list[str]:
    if inspect.isfunction(value):
        return [_signature(name, value), markdown(inspect.getdoc(value) or "")]
    parts = []
    if not dataclasses.is_dataclass(value) and not issubclass(value, Exception):
        parts.append(_signature(name, value))
    parts.append(markdown(inspect.getdoc(value) or ""))
    for member, found in vars(value).items():
        if member.startswith("_"):
            continue
        title = f"{name.removeprefix('hpe.')}.{member}"
        if isinstance(found, property):
            parts += [f"### `{title}`\n", markdown(inspect.getdoc(found) or "")]
        elif inspect.isfunction(found):
            parts += [f"### `{title}`\n", _signature(title, found), markdown(inspect.getdoc(found) or "")]
    return parts


def _signature(name: str, value) -> str:
    signature = inspect.signature(value)
    parameters = [
        parameter.replace(annotation=_shown(parameter.annotation))
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    returned = _shown(signature.return_annotation)
    text = str(signature.replace(parameters=parameters, return_annotation=returned)).replace("'", "")
    return f"```python\n{name}{text}\n```\n"


def _shown(annotation):
    """Leaves annotations as they are written, and out where there are none."""
    return annotation if annotation is inspect.Signature.empty else str(annotation)


def markdown(docstring: str) -> str:
    """Turns a docstring of this house into Markdown: sections become lists."""
    lines, section = [], ""
    for line in docstring.splitlines():
        heading = _SECTION.match(line)
        if heading:
            section = heading[1]
            lines += [f"**{section}**", ""]
            continue
        if section and not line.startswith(" "):
            section = "" if line else section
        text = line[_BODY_INDENT:] if section else line
        entry = _ENTRY.match(text) if section else None
        if entry:
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif section and text.startswith(" "):
            lines.append(f"  {text.strip()}")
        else:
            lines.append(text)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}", file=sys.stderr)
