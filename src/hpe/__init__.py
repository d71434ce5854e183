"""3D human pose and shape from single images, in TensorFlow 2 / Keras 3.

    import hpe

    model = hpe.load("runs/x")
    people = model.predict(image)
    people[0].joints3d, people[0].vertices, people[0].camera
    people[0].draw(image)
    people[0].save("person.json")

Importing this package imports neither TensorFlow nor Keras. Loading a run does; a preset predicts without them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from hpe.errors import SettingError, UserError
    from hpe.export.page import save_page
    from hpe.geometry.cameras import PinholeCamera
    from hpe.inference.model import Model
    from hpe.people.person import BodyParameters, Person

__version__ = "0.1.0"

__all__ = [
    "BodyParameters",
    "Model",
    "Person",
    "PinholeCamera",
    "SettingError",
    "UserError",
    "__version__",
    "list_models",
    "load",
    "save_page",
]

# Where the names of this package live; each is imported when it is first asked for.
_HOMES = {
    "BodyParameters": "hpe.people.person",
    "Model": "hpe.inference.model",
    "Person": "hpe.people.person",
    "PinholeCamera": "hpe.geometry.cameras",
    "SettingError": "hpe.errors",
    "UserError": "hpe.errors",
    "save_page": "hpe.export.page",
}


def load(
    path: str | os.PathLike,
    *,
    lifter: str | os.PathLike | None = None,
    body_model: str | os.PathLike | None = None,
) -> Model:
    """Loads a trained model.

    Args:
        path: a run directory, of which the newest checkpoint is taken; one checkpoint in it; a file of released
            weights, `.safetensors`; or the name of a preset.
        lifter: the same for a second stage, a `lifter`, which gets its 2D joints from the `hrnet` of `path`.
        body_model: file of the body model, where it has moved since the training or was not released.

    Returns:
        The model; call its `predict`.

    Raises:
        UserError: there is no such run, or it is damaged.
    """
    from hpe.inference.model import Model
    from hpe.runs import load as load_weights
    from hpe.runs import load_ready

    options = {"lifter": lifter, "body_model": body_model}
    loaded = load_ready(path, **options)
    if loaded is None:
        from hpe.backends.quiet import import_quietly

        import_quietly("keras")
        loaded = load_weights(path, **options)
    return Model.of(loaded)


def list_models() -> list[str]:
    """Returns the names of the models that come with the package, for `load`."""
    from hpe.runs.presets import presets

    return sorted(presets())


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'hpe' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
