"""What is read, and how: a dataset by name, its share of every batch, and what is its own of the augmentation."""

from __future__ import annotations

import dataclasses
import fractions
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from hpe.errors import SettingError
from hpe.skeletons.rules import TABLES

Config = TypeVar("Config")

_MANIFEST = ".manifest.json"

# The one setting that is no setting of the pipeline: by which table joints come into the wanted set.
JOINTS = "joints"

_SHARE = re.compile(r"^(?P<name>.+):(?P<share>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+|\d+/[1-9]\d*)$")
# A share in a mix has a point, so that `recording_1_0` is a name.
_IS_SHARE = re.compile(r"^\d*\.\d+$")
_SETTING = re.compile(r"^\s*([a-z][a-z0-9_]*)=(.*)$")
# Ratios are taken to be fractions of whole numbers up to this.
_FINEST = 1000
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """One dataset of a run, written `name[:share][,setting=value...]`, such as `mpii:0.5,rotation_max=30`.

    Attributes:
        name: its name in the data folder, or the path of record files.
        share: its part of every batch, beside the shares of the others; they need not add up to 1. None for all:
            records of all datasets are mixed.
        settings: what replaces the pipeline's settings for this dataset, by name.
        short: whether the name may be a part of the records' name, see `in_full`.
    """

    name: str
    share: fractions.Fraction | None = None
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    short: bool = dataclasses.field(default=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> DatasetSpec:
        """Returns the one dataset that a text describes; raises SettingError if it is none."""
        specs = parse_specs(text.split(","))
        if len(specs) != 1:
            raise SettingError("datasets", "must name one dataset here.", text)
        return specs[0]

    def configured(self, config: Config) -> Config:
        """Returns the settings of a pipeline with this dataset's own in their place.

        Raises:
            SettingError: there is no such setting, it is the same for all datasets, or the value does not suit it.
        """
        own = {}
        for name, text in self.settings.items():
            if name == JOINTS and name in config.OWN:
                if text not in TABLES:
                    known = ", ".join(sorted(TABLES))
                    raise SettingError(
                        "datasets", f"{name} of {self.name} must be one of {known}.", str(self)
                    )
                continue
            if name not in config.OWN:
                known = ", ".join(config.OWN)
                raise SettingError(
                    "datasets", f"{self.name} cannot have a {name} of its own, only: {known}.", str(self)
                )
            kind = type(getattr(config, name))
            try:
                own[name] = _TRUTH[text.lower()] if kind is bool else kind(text)
            except (KeyError, ValueError):
                wanted = "true or false" if kind is bool else "a number"
                raise SettingError(
                    "datasets", f"{name} of {self.name} must be {wanted}.", str(self)
                ) from None
        try:
            return dataclasses.replace(config, **own)
        except SettingError as error:
            raise SettingError("datasets", f"{self.name}: {error}", str(self)) from None

    @property
    def joint_table(self) -> str | None:
        """Name of the published table by which this dataset's joints are converted, see `hpe.skeletons.rules`."""
        return self.settings.get(JOINTS)

    def __str__(self) -> str:
        share = "" if self.share is None else f":{self.share}"
        return ",".join([f"{self.name}{share}", *(f"{key}={value}" for key, value in self.settings.items())])


def parse_specs(items: Iterable[str | DatasetSpec]) -> tuple[DatasetSpec, ...]:
    """Returns datasets from items of a list that was cut at its commas: settings belong to the name before them.

    `mpii_3dpw_0.4_0.6`, names and shares as the ETH course on human pose and shape writes them, is two of them.

    Raises:
        SettingError: a setting has no name before it, or a mix of the course's form does not add up.
    """
    specs: list[DatasetSpec] = []
    for item in items:
        if isinstance(item, DatasetSpec):
            specs.append(item)
        elif mixed := _parse_mix(item.strip()):
            specs += mixed
        elif setting := _SETTING.match(item):
            if not specs:
                raise SettingError("datasets", "must begin with the name of a dataset.", item)
            settings = {**specs[-1].settings, setting[1]: setting[2].strip()}
            specs[-1] = dataclasses.replace(specs[-1], settings=settings)
        elif share := _SHARE.match(item.strip()):
            specs.append(DatasetSpec(share["name"], fractions.Fraction(share["share"])))
        else:
            specs.append(DatasetSpec(item.strip()))
    return tuple(specs)


def in_full(specs: Sequence[DatasetSpec], data_dir: str | os.PathLike) -> tuple[DatasetSpec, ...]:
    """Returns datasets with the whole names of their records, where the one dataset for training has a short name.

    `3dpw` of a mix is `spin_3dpw_train_subset` if that is the only one in the folder with both words in its name.

    Raises:
        SettingError: there are several such datasets.
    """
    full = []
    stems = sorted(path.name.removesuffix(_MANIFEST) for path in pathlib.Path(data_dir).glob(f"*{_MANIFEST}"))
    for spec in specs:
        words = {stem: stem.split("_") for stem in stems}
        fitting = [stem for stem in stems if {spec.name, "train"} <= set(words[stem])]
        if spec.short and spec.name not in stems and fitting:
            if len(fitting) > 1:
                raise SettingError(
                    "datasets", f"could be {' or '.join(fitting)}; name them by NAME:SHARE.", spec.name
                )
            spec = dataclasses.replace(spec, name=fitting[0])
        full.append(spec)
    return tuple(full)


def _parse_mix(text: str) -> list[DatasetSpec]:
    """Returns the datasets of a mix `a_b_0.4_0.6`; none if the text is no such mix.

    Raises:
        SettingError: there are as many names as shares in it, or nearly so, but they do not go together.
    """
    parts = text.split("_")
    count = len(parts) - len([*itertools.takewhile(lambda part: not _IS_SHARE.match(part), parts)])
    names, shares = parts[: len(parts) - count], parts[len(parts) - count :]
    if count < 2 or not names or not all(map(_IS_SHARE.match, shares)) or "/" in text or "\\" in text:
        return []
    if len(names) != count:
        raise SettingError(
            "datasets",
            f"has {count} shares for {len(names)} names; names with an underscore go as NAME:SHARE,NAME:SHARE.",
            text,
        )
    exact = [fractions.Fraction(share) for share in shares]
    if sum(exact) != 1:
        raise SettingError("datasets", f"its shares add up to {float(sum(exact)):g}, not to 1.", text)
    return [DatasetSpec(name, share, short=True) for name, share in zip(names, exact, strict=True)]


def shares_of(
    specs: Sequence[DatasetSpec], ratios: Sequence[str] = ()
) -> tuple[fractions.Fraction, ...] | None:
    """Returns the shares of datasets, which add up to 1, or None if their records are all mixed.

    Args:
        specs: the datasets.
        ratios: `dataset_ratios`, another way to write the shares.

    Raises:
        SettingError: some datasets have a share and others have none, both ways are used, or all shares are 0.
    """
    given = [spec.share for spec in specs if spec.share is not None]
    if ratios:
        names = ", ".join(spec.name for spec in specs)
        if given:
            raise SettingError(
                "dataset_ratios", "the `datasets` have shares already; give one of the two.", ratios
            )
        if len(ratios) != len(specs):
            raise SettingError(
                "dataset_ratios",
                f"has {len(ratios)} numbers, but there are {len(specs)} `datasets`: {names}. Give one for each.",
                ratios,
            )
        given = [fractions.Fraction(ratio) for ratio in ratios]
    if not given:
        return None
    if len(given) != len(specs):
        without = ", ".join(spec.name for spec in specs if spec.share is None)
        raise SettingError("datasets", f"{without} has no share, but others have; give all of them one.")
    total = sum(given)
    if not total:
        raise SettingError("datasets", "one of the shares must be above 0.", ",".join(map(str, specs)))
    return tuple(share / total for share in given)


def shares_by_kind(
    specs: Sequence[DatasetSpec], counts: Sequence[int], has_3d: Sequence[bool], ratio_3d: float
) -> tuple[fractions.Fraction, ...]:
    """Returns shares of datasets, which add up to 1, by whether their records have 3D joints.

    Args:
        specs: the datasets.
        counts: their records; of a kind, shares are in proportion to them.
        has_3d: of which kind they are.
        ratio_3d: samples with 3D joints for each one without, above 0.

    Raises:
        SettingError: some have shares of their own, or there are no datasets of one kind.
    """
    if any(spec.share is not None for spec in specs):
        raise SettingError("ratio_3d", "the `datasets` have shares already; give one of the two.", ratio_3d)
    for kind, lack in ((True, "none has"), (False, "all have")):
        if kind not in has_3d:
            names = ", ".join(spec.name for spec in specs)
            raise SettingError(
                "ratio_3d", f"needs datasets with 3D joints and without: of {names} {lack} them.", ratio_3d
            )
    ratio = fractions.Fraction(ratio_3d).limit_denominator(_FINEST)
    weights = {True: ratio / (1 + ratio), False: 1 / (1 + ratio)}
    totals = {kind: sum(n for n, own in zip(counts, has_3d, strict=True) if own is kind) for kind in weights}
    return tuple(
        weights[own] * fractions.Fraction(count, max(totals[own], 1))
        for count, own in zip(counts, has_3d, strict=True)
    )
