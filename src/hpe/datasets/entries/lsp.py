"""Flags of Leeds Sports Pose and LSP-extended, with the segmentations of Unite the People."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.datasets.lsp import Split, lsp, lsp_extended
from hpe.datasets.registry import Entry, WriteConfig, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.errors import SettingError
from hpe.options import option

_UP_DIR = "data/upi-s1h"


@dataclasses.dataclass(frozen=True)
class LspConfig:
    """Leeds Sports Pose and LSP-extended, with segmentations of Unite the People."""

    lsp: bool = option(False, "Create lsp_train: the first 1000 images of Leeds Sports Pose.")
    lsp_val: bool = option(False, "Create lsp_val: the last 1000 images of Leeds Sports Pose.")
    lsp_ext: bool = option(False, "Create lsp_ext: LSP-extended.")
    lsp_dir: str = option("data/lsp_dataset", "LSP: joints.mat and images/.")
    lsp_ext_dir: str = option("data/lspet_dataset", "LSP-extended: joints.mat and images/.")
    up_dir: str = option(_UP_DIR, "Unite the People: data/lsp/ and data/lsp_extended/ with segmentations.")
    lsp_im: str | None = option(None, "Images of LSP, if not in `lsp_dir`/images.")
    lsp_seg: str | None = option(None, "Segmentations of LSP, if not in `up_dir`.")
    lsp_e_im: str | None = option(None, "Images of LSP-extended, if not in `lsp_ext_dir`/images.")
    lsp_e_seg: str | None = option(None, "Segmentations of LSP-extended, if not in `up_dir`.")


def open_lsp(config: LspConfig, write: WriteConfig) -> list[Source]:
    """Returns what is selected of LSP."""
    sources = []
    for wanted, split in ((config.lsp, Split.TRAIN), (config.lsp_val, Split.VAL)):
        if wanted:
            root, images = _images(config, "lsp_dir", "lsp_im")
            masks = _masks(config, write, "lsp_seg", "lsp")
            sources.append(
                lsp(root / "joints.mat", images, masks, split=split, only_segmented=write.only_segmented)
            )
    if config.lsp_ext:
        root, images = _images(config, "lsp_ext_dir", "lsp_e_im")
        masks = _masks(config, write, "lsp_e_seg", "lsp_extended")
        sources.append(lsp_extended(root / "joints.mat", images, masks, only_segmented=write.only_segmented))
    return sources


def _images(config: LspConfig, folder: str, elsewhere: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the folders of the joints and of the images."""
    images = getattr(config, elsewhere)
    root = require_folder(getattr(config, folder), folder, "joints.mat", *([] if images else ["images"]))
    return root, require_folder(images, elsewhere) if images else root / "images"


def _masks(config: LspConfig, write: WriteConfig, setting: str, name: str) -> pathlib.Path | None:
    """Returns the segmentations of one dataset; None if nobody asked for them and they are not there."""
    if getattr(config, setting):
        return require_folder(getattr(config, setting), setting)
    root = pathlib.Path(config.up_dir)
    for folder in (root / "data" / name, root / name):
        if folder.is_dir():
            return folder
    if config.up_dir != _UP_DIR or write.only_segmented:
        raise SettingError("up_dir", f"no such folder with data/{name}/ of Unite the People.", config.up_dir)
    return None


ENTRY = Entry(
    "lsp",
    "`lsp`, `lsp_val`, `lsp_ext`",
    LspConfig,
    open_lsp,
    # The spellings of the original hybrid HMR.
    aliases={
        "create_lsp": "lsp",
        "create_lsp_val": "lsp_val",
        "create_lsp_ext": "lsp_ext",
        "lsp_e_dir": "lsp_ext_dir",
    },
    provenance=Provenance(
        source="Leeds Sports Pose and LSP-extended, masks of Unite the People",
        licence="none stated; masks: research, non-commercial",
    ),
)
