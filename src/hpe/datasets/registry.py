"""The one list of datasets that can be turned into records: what programs know of each by its name.

A file of your own adds one with `hpe.datasets.register(Entry(...))`; create_datasets with `plugins=FILE.py` then
has its flags, see docs/add_a_dataset.md.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hpe.datasets.pose_sequence import SequenceSource
from hpe.datasets.source import NOWHERE, Provenance, Source
from hpe.datasets.splitting import Split
from hpe.errors import SettingError
from hpe.options import option, require_at_least

# Images per record file.
SHARD_SIZE = 500


@dataclasses.dataclass(frozen=True)
class WriteConfig:
    """How records are written; names are flag names."""

    data_dir: str = option("data", "Folder that the records are written to.")
    only_segmented: bool = option(False, "Leave out people without a usable segmentation.")
    part_labels: tuple[str, ...] = option(
        (),
        "Draw maps of the parts of a body for people with pose and shape of one of these: default, or files in the "
        "SMPL layout, of men and women, too. Synthetic people have them.",
    )
    seed: int = option(0, "Synthetic people and the order of mocap frames are functions of this.")
    num_workers: int = option(0, "Worker processes; 0 is one per processor, 1 works in the program itself.")
    shard_size: int = option(SHARD_SIZE, "Images per record file.")
    data_ratio: float = option(1.0, "Share of the people of each dataset that is used at all.")
    validation_ratio: float = option(
        0.0,
        "Share of each dataset of people, less the test's, that becomes NAME_val; the others are NAME_train.",
    )
    test_ratio: float = option(0.0, "Share of each dataset of people that becomes NAME_test.")
    split: Split = option(
        Split.RANDOM,
        "How people are dealt out: random (by `seed`), subject (everybody goes one way), or sequential.",
    )

    def __post_init__(self):
        for name, least in (("seed", 0), ("num_workers", 0), ("shard_size", 1)):
            require_at_least(self, least, name)
        if not 0 < self.data_ratio <= 1:
            raise SettingError("data_ratio", "must be above 0 and not above 1.", self.data_ratio)
        for name in ("validation_ratio", "test_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(name, "must be at least 0 and below 1.", getattr(self, name))


@dataclasses.dataclass(frozen=True)
class Entry:
    """How to find the files of a dataset, or of several that share flags.

    Attributes:
        name: for messages and the list.
        usage: how flags select it, in words for a message, such as `lsp` or `coco=DIR` in backquotes.
        config: a dataclass of options, which become flags; by default nothing is selected.
        open: takes the config and the WriteConfig, and returns what is selected, nothing if nothing is: a Source of
            people, a SequenceSource of sequences, or a function of whether progress is shown that writes records of
            another kind and returns the summary. It checks folders and indices, and writes nothing.
        aliases: other names of its flags.
        provenance: where its sources come from, unless they say it themselves.
    """

    name: str
    usage: str
    config: type
    open: Callable[[Any, WriteConfig], Sequence[Source | SequenceSource | Callable[[bool], Any]]]
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    provenance: Provenance = NOWHERE

    def sources(
        self, config: Any, write: WriteConfig
    ) -> list[Source | SequenceSource | Callable[[bool], Any]]:
        """Returns what `open` returns, with the provenance."""
        return [
            dataclasses.replace(source, provenance=self.provenance)
            if getattr(source, "provenance", None) == NOWHERE
            else source
            for source in self.open(config, write)
        ]


# VIBE and its descendants keep what they made of datasets in files of joblib, `mpii3d_train_db.pt`.
_DERIVED = (".pt", ".joblib")

# Each module holds its `ENTRY`; some stand on floors above this one, so that they are imported when asked for.
_MODULES = {
    "h36m": "hpe.datasets.entries.human36m",
    "h36m_eccv18": "hpe.datasets.entries.h36m_eccv18",
    "h36m_pictures": "hpe.datasets.entries.hemlets",
    "lsp": "hpe.datasets.entries.lsp",
    "mpii": "hpe.datasets.entries.mpii",
    "mpii_json": "hpe.datasets.entries.mpii_json",
    "mpii_release": "hpe.datasets.entries.mpii_release",
    "coco": "hpe.datasets.entries.coco",
    "own": "hpe.datasets.entries.own",
    "hr_lspet": "hpe.datasets.entries.hr_lspet",
    "spin": "hpe.datasets.entries.spin",
    "pw3d": "hpe.datasets.entries.pw3d",
    "mpi_inf_3dhp": "hpe.datasets.entries.mpi_inf_3dhp",
    "flic": "hpe.datasets.entries.flic",
    "occlusion_person": "hpe.datasets.entries.occlusion_person",
    "teach": "hpe.programs.teach_entry",
    "synthetic": "hpe.synthetic.entry",
    "mocap": "hpe.programs.mocap_entry",
}
_registered: dict[str, Entry] = {}


def register(entry: Entry) -> Entry:
    """Adds a dataset of another package or file and returns it.

    Raises:
        ValueError: if there is one of that name.
    """
    if entry.name in names():
        raise ValueError(f"There is a dataset called {entry.name!r} already.")
    _registered[entry.name] = entry
    return entry


def names() -> tuple[str, ...]:
    """Returns the names of all datasets: the package's own and those that were registered, in order."""
    return (*_MODULES, *_registered)


def get(name: str) -> Entry:
    """Returns the entry of a dataset; raises ValueError with the known names if there is none."""
    if name in _registered:
        return _registered[name]
    if name not in _MODULES:
        raise ValueError(f"Unknown dataset {name!r}; known are {', '.join(names())}.")
    return importlib.import_module(_MODULES[name]).ENTRY


def require_folder(folder: str | pathlib.Path, setting: str, *contents: str) -> pathlib.Path:
    """Returns a folder as a path if it is there with what it should hold.

    Raises:
        SettingError: naming the setting that it came from.
    """
    path = pathlib.Path(folder)
    holding = f"; it should hold {' and '.join(contents)}" if contents else ""
    if path.is_file() and path.suffix in _DERIVED:
        raise SettingError(
            setting,
            "is what another code made of the dataset, by joblib, which runs what a file says; give the folder of "
            "the dataset itself, as its authors release it.",
            folder,
        )
    if not path.is_dir():
        raise SettingError(setting, f"no such folder{holding}.", folder)
    missing = [name for name in contents if not (path / name).exists()]
    if missing:
        raise SettingError(setting, f"has no {' and no '.join(missing)}{holding}.", folder)
    return path


def refuse_only_segmented(write: WriteConfig, setting: str, value: str) -> None:
    """Raises SettingError if people without segmentation are left out of a dataset that has none."""
    if write.only_segmented:
        raise SettingError(
            "only_segmented",
            f"would leave out everybody of `{setting}={value}`, which has no segmentations; create it by a call of "
            "its own, without this setting.",
        )
