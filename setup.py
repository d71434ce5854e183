"""What pyproject.toml has no words for: the recipes of configs/ travel in the package, as hpe/configs/."""

import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithRecipes(build_py):
    """Builds the package as usual, and copies the recipes into it."""

    def run(self):
        """Runs the command."""
        super().run()
        if not self.editable_mode:
            recipes = pathlib.Path(self.build_lib, "hpe", "configs")
            recipes.mkdir(parents=True, exist_ok=True)
            for recipe in pathlib.Path("configs").glob("*.cfg"):
                shutil.copy(recipe, recipes)


setup(cmdclass={"build_py": BuildWithRecipes})
