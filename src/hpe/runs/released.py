"""Released weights: one safetensors file with all that prediction needs, no pickle and no code.

Weights lie in it by name, see `hpe.runs.weights`. The file's metadata, all of them text:

| key | content |
|---|---|
| `format` | `hpe-weights-1` |
| `settings` | JSON: `system`, `model`, `input`, the sections of a run's params.json; without paths of files |
| `skeletons` | JSON: names of the joint sets of 2D and 3D joints |
| `body_models` | JSON: names of the body models that it predicts pose and shape of, such as `["smpl"]` |
| `licence`, `about` | of the weights, in words |
| `step` | of the training |
| `hpe` | the version that wrote it |
| `digest` | SHA-256 over names, types, shapes and bytes of all weights |
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hpe import files, skeletons
from hpe.errors import UserError, first_line
from hpe.runs.directory import version
from hpe.runs.settings import Settings, settings_from
from hpe.runs.weights import StoredWeights, named_variables

SUFFIX = ".safetensors"

_FORMAT = "hpe-weights-1"
_DTYPES = ("float16", "float32")

# Weights of fewer numbers stay in float32.
_LARGE = 4096


@dataclasses.dataclass(frozen=True)
class ReleasedWeights:
    """A released file, read and compared with its digest.

    Attributes:
        path: the file.
        settings: of the system.
        weights: all of them.
        step: of the training.
        body_models: names of the body models that the system was trained with.
        licence: of the weights, in words.
        about: what they are, in words.
    """

    path: str
    settings: Settings
    weights: StoredWeights
    step: int
    body_models: tuple[str, ...]
    licence: str
    about: str


def save(
    path: str | os.PathLike,
    system: Any,
    settings: Settings,
    *,
    licence: str,
    about: str = "",
    step: int = 0,
    dtype: str = "float16",
) -> None:
    """Writes the networks that predict, as they are now.

    Args:
        path: the file; its name ends in `.safetensors`.
        system: the system.
        settings: by which it was built. Those that name files are left at their defaults: what the files held is
            in the weights, and the body model is named.
        licence: of the weights, in words, such as `CC0-1.0`.
        about: what they are, in words.
        step: of the training.
        dtype: `float16` halves the file: kernels are rounded to 11 bits, biases and statistics are not; `float32`
            keeps every bit.

    Raises:
        UserError: the file cannot be written.
        ValueError: the ending or the dtype is another.
    """
    path = pathlib.Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"path must end in {SUFFIX}. Received: path={path}")
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}. Received: dtype={dtype}")
    from safetensors.numpy import save_file

    arrays = {name: _packed(variable, dtype) for name, variable in named_variables(system.networks).items()}
    metadata = {
        "format": _FORMAT,
        "settings": json.dumps(_without_paths(settings).to_plain(), sort_keys=True),
        "skeletons": json.dumps(_skeletons(system)),
        "body_models": json.dumps(list(system.body_models)),
        "licence": licence,
        "about": about,
        "step": str(step),
        "hpe": version("hpe"),
        "digest": digest(arrays),
    }
    with files.Replacement(path) as temporary:
        save_file(arrays, temporary, metadata=metadata)


def read(path: str | os.PathLike) -> ReleasedWeights:
    """Reads a released file.

    Raises:
        UserError: it cannot be read, is damaged, is another file, or is for another version of this package.
    """
    from safetensors import safe_open

    path = os.fspath(path)
    with _explaining(path):
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise UserError(
                    f"{path}: are not weights of hpe, or of another version (its format is "
                    f"{metadata.get('format', 'not given')}, expected {_FORMAT})."
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if digest(arrays) != metadata["digest"]:
            raise ValueError("its weights are not those that were written")
        settings = settings_from(json.loads(metadata["settings"]), source=path)
        shapes = {name: array.shape for name, array in arrays.items()}
        return ReleasedWeights(
            path,
            settings,
            StoredWeights(path, shapes, arrays.__getitem__),
            int(metadata["step"]),
            tuple(json.loads(metadata["body_models"])),
            metadata["licence"],
            metadata["about"],
        )


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 over names, types, shapes and bytes of arrays, in hexadecimal."""
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        hasher.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        hasher.update(array.data if array.size else b"")
    return hasher.hexdigest()


@contextlib.contextmanager
def _explaining(path: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or first_line(error)}).") from error
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(
            f"{path}: is damaged, or no file of weights ({first_line(error)}); get it once more."
        ) from error


def _packed(variable, dtype: str) -> np.ndarray:
    array = np.asarray(variable)
    if array.dtype.kind != "f":
        return np.ascontiguousarray(array)
    array = np.ascontiguousarray(array, dtype=np.float32)
    # Means, variances and biases take no room, and float16 may make a small variance 0.
    if dtype == "float16" and variable.trainable and array.ndim > 1 and array.size >= _LARGE:
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        return half if np.isfinite(half).all() else array
    return array


def _without_paths(settings: Settings) -> Settings:
    """Returns the settings with the defaults of those that name files, which are another computer's."""

    def plain(config):
        changes = {
            field.name: field.default
            for field in dataclasses.fields(config)
            if isinstance(value := getattr(config, field.name), str) and ("/" in value or os.sep in value)
        }
        return dataclasses.replace(config, **changes)

    return dataclasses.replace(settings, model=plain(settings.model), input=plain(settings.input))


def _skeletons(system) -> dict[str, str]:
    """Names the joint sets of a system's predictions, as far as it says them."""
    names = {
        "joints2d": getattr(system, "input_skeleton", system.skeleton),
        "joints3d": getattr(system, "skeleton3d", system.skeleton),
    }
    return {key: name for key, name in names.items() if name in skeletons.SKELETONS}
