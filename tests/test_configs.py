"""Every recipe says in its first lines what it is run by, on what, for how long, and what comes of it."""

import pathlib

import pytest

RECIPES = sorted((pathlib.Path(__file__).resolve().parent.parent / "configs").rglob("*.cfg"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_begins_with_command_data_time_and_result(recipe):
    head = [line for line in recipe.read_text().splitlines() if line.startswith("#")]
    said = [line.split()[1] for line in head if len(line.split()) > 2 and line.startswith("#   ")]
    assert [word for word in said if word in ("command", "data", "time", "result")] == [
        "command",
        "data",
        "time",
        "result",
    ]
