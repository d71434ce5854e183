"""The one table of metrics: what their names mean, in which direction they improve, and their older names.

docs/evaluation.md prints it: `python -m hpe.evaluation.document > docs/evaluation.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from hpe import skeletons, systems
from hpe.evaluation import bodies, body_joints, joints2d, joints3d, silhouettes
from hpe.evaluation.measure import Better, Family, Measure, Name, joint_protocol
from hpe.fields import Needs
from hpe.records.manifest import Manifest

_FAMILIES: dict[str, Family] = {
    family.name: family
    for families in (joints2d, silhouettes, joints3d, body_joints, bodies)
    for family in families.FAMILIES
}

# A published protocol that is called otherwise, and names of earlier versions, which did not say their protocol.
ALIASES = {
    "Mean@0.1": "pckh0.11@mpii16",
    "pck_0.2_torso": "pck0.2torso",
    "pckh_0.5": "pckh0.5",
    "pckh_0.1": "pckh0.1",
}

# The mean over the actions of the mean of each: Human3.6M's tables.
ACTIONS = "_actions"

_FRACTION = "{fraction}"


def register(family: Family) -> None:
    """Adds a kind of metric of another package; raises ValueError if there is another one of that name."""
    if _FAMILIES.setdefault(family.name, family) is not family:
        raise ValueError(f"There is a metric called {family.name!r} already.")


def families() -> tuple[Family, ...]:
    """Returns all kinds of metrics."""
    return tuple(_FAMILIES.values())


def parse(text: str) -> Name:
    """Takes the whole name of a metric apart, such as `pckh0.5@mpii16`.

    Raises:
        ValueError: there is no such metric; the message names those that there are.
    """
    stem, at, protocol = ALIASES.get(text, text).partition("@")
    for family in families():
        fraction = _match(family, stem)
        if fraction is not None and at:
            name = Name(f"{stem}@{protocol}", family, protocol, fraction or None)
            # Refuses protocols that there are not.
            family.make(name)
            return name
    raise ValueError(f"{text!r} is no metric; there are {', '.join(_listed())}.")


def measure(text: str) -> Measure:
    """Returns what measures the metric of this name; ValueError as for `parse`."""
    name = parse(text)
    return name.family.make(name)


def better(text: str) -> Better:
    """Returns in which direction a metric improves, from its whole name or from its family alone.

    Args:
        text: a name such as `mpjpe@lsp14`, `mpjpe`, `mpjpe_actions@h36m17` or an older one.

    Raises:
        ValueError: there is no such metric; the message names those that there are.
    """
    stem = ALIASES.get(text, text).partition("@")[0]
    for family in families():
        if _match(family, stem) is not None or _match(family, stem.removesuffix(ACTIONS)) is not None:
            return family.better
    raise ValueError(f"{text!r} is no metric to judge a run by; there are {', '.join(_listed())}.")


def find(text: str, names: Iterable[str]) -> str | None:
    """Returns which of the names of a report somebody means by a name, an older one, or a family alone.

    A family means the first of its metrics: `mpjpe` is `mpjpe@lsp14` for one system and `mpjpe@h36m17` for another.
    """
    names, wanted = list(names), ALIASES.get(text, text)
    if wanted in names:
        return wanted
    return next((name for name in names if name.partition("@")[0] == wanted), None)


def metrics_of(system: Any) -> tuple[str, ...]:
    """Returns the whole names of the metrics that a system is judged by.

    They are what the system's class or its entry in the registry says; a family without a protocol is that of the
    system's own joint set.
    """
    listed = getattr(system, "metrics", None) or systems.get(system.name).metrics
    return tuple(_whole(text, system.skeleton) for text in listed)


def needs_of(system: Any, names: Sequence[str], manifests: Sequence[Manifest | None] = ()) -> Needs:
    """Returns what judging a system reads of a batch.

    Args:
        system: to be judged.
        names: of the metrics.
        manifests: of the datasets; None for those that have none. If all were annotated in one joint set, joints
            are compared in it, and predictions are brought to the protocol's joints; else joints come in a set that
            holds those of all protocols.
    """
    fields = {"name", "action", "sequence", system.input_key, *getattr(system, "judged_with", ())}
    joints: dict[str, set[str]] = {"joints2d": set(), "joints3d": set()}
    for name in map(parse, names):
        fields.update(name.family.needs)
        for key, wanted in joints.items():
            if key in name.family.needs:
                wanted.add(joint_protocol(name.protocol).skeleton.name)
    annotated = {"joints2d": map(_annotated2d, manifests), "joints3d": map(_annotated3d, manifests)}
    own = {key: {name for name in found if name} for key, found in annotated.items()}
    skeleton2d, skeleton3d = (
        next(iter(own[key])) if len(own[key]) == 1 else _common(wanted, system.skeleton)
        for key, wanted in joints.items()
    )
    return Needs(
        fields=tuple(sorted(fields)),
        skeleton2d=skeleton2d,
        skeleton3d=skeleton3d,
        body_models=tuple(system.body_models),
    )


def _annotated2d(manifest: Manifest | None) -> str:
    # The originals' records, which have no manifest, are in HMR's joints.
    return manifest.skeleton if manifest else skeletons.COCOPLUS19.name


def _annotated3d(manifest: Manifest | None) -> str:
    """Returns the joint set of 3D joints, empty if the records have none."""
    if manifest and manifest.fields and not manifest.fields.get("joints3d"):
        return ""
    return (manifest.skeleton3d if manifest else None) or _annotated2d(manifest)


def _common(wanted: set[str], fallback: str) -> str:
    """Returns a joint set from which all of some sets can be told exactly: one of them, else `fallback`."""
    for name in sorted(wanted, key=lambda name: -len(skeletons.get(name))):
        exact = (
            skeletons.convert(skeletons.get(name), skeletons.get(other), stand_ins=False, missing=True)
            for other in wanted
        )
        if not any(conversion.missing for conversion in exact):
            return name
    return fallback


def _whole(text: str, skeleton: str) -> str:
    text = ALIASES.get(text, text)
    return text if "@" in text else f"{text}@{skeleton}"


def _match(family: Family, stem: str) -> float | None:
    """Returns the number in a name of this family, 0 where it has none, None if it is of another family."""
    pattern = re.escape(family.name).replace(re.escape(_FRACTION), r"(\d*\.?\d+)")
    found = re.fullmatch(pattern, stem)
    return None if found is None else float(found[1]) if found.groups() else 0.0


def _listed() -> list[str]:
    usual = {"pck{fraction}torso": "pck0.2torso", "pckh{fraction}": "pckh0.5"}
    return [f"{usual.get(family.name, family.name)}@{family.protocols[0]}" for family in families()]
