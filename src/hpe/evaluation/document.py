"""docs/evaluation.md: the metrics by name, from the table of the code.

python -m hpe.evaluation.document > docs/evaluation.md
"""

from __future__ import annotations

from collections.abc import Iterator

from hpe import systems
from hpe.evaluation import registry
from hpe.evaluation.measure import Better

_HEAD = """# Metrics

This page is printed by `python -m hpe.evaluation.document`; a test holds it to the code.

A metric's name holds its protocol, `family@protocol`: what is measured, and on which joints or pixels. One name
means one thing, whatever the system.

- Joints are compared in the joint set that the dataset was annotated in; the prediction is brought to the
  protocol's joints by name and definition, see [skeletons.md](skeletons.md). Only `@lsp14` lets other points of
  the body stand in, as HMR's protocol on Human3.6M does. A prediction that lacks joints of the protocol is not
  measured, and the report says which it lacks.
- Means are over samples; PCK, keypoint loss, silhouette accuracy and F1 are over all joints, coordinates or pixels
  together, as published.
- Where records name actions, sequences or several datasets are judged, every metric is also reported for each:
  `mpjpe@h36m17/Walking`. `mpjpe_actions@h36m17` is the mean over the actions, what Human3.6M's tables hold.
- `keep_best_metric` and `early_stopping_metric` take every name, a family alone (`mpjpe` is the first of the
  system's), and the names of earlier versions.
- HRNet's published "Mean@0.1" is at a threshold of 0.11 of the head (its curve has a point every 0.01, and the
  twelfth is taken): `Mean@0.1` is another name of `pckh0.11@mpii16`, and `pckh0.1@mpii16` is a little lower.
- Silhouettes of tables are compared on the whole original picture, `@picture`. `@crop` counts the pixels of the
  network's crop, of which a wide border is right whatever is predicted.
- A metric that is not defined here is one `hpe.evaluation.registry.register(Family(...))` in a file of its own.

"""

_ARROWS = {Better.LOWER: "lower", Better.HIGHER: "higher", Better.NEITHER: "-"}


def to_markdown() -> str:
    """Returns the page."""
    return _HEAD + "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "| name | protocols | unit | better | compares with | meaning | as in |"
    yield "|---|---|---|---|---|---|---|"
    for family in registry.families():
        protocols = ", ".join(f"`@{protocol}`" for protocol in family.protocols)
        fields = ", ".join(f"`{key}`" for key in family.needs if not key.endswith("_weight"))
        cells = (
            f"`{family.name}`",
            protocols.replace("`@skeleton`", "`@` any joint set"),
            family.unit.replace("|", r"\|") or "-",
            _ARROWS[family.better],
            fields or "-",
            family.meaning,
            family.source,
        )
        yield f"| {' | '.join(cells)} |"
    yield from ("", "| system | is judged by |", "|---|---|")
    for name in systems.names():
        judged = systems.get(name).metrics
        yield f"| `{name}` | {', '.join(f'`{metric}`' for metric in judged)} |"
    yield from ("", "A family without a protocol is on the system's own joint set.", "")
    yield from ("| another name | is |", "|---|---|")
    for alias, name in registry.ALIASES.items():
        yield f"| `{alias}` | `{name}` |"


if __name__ == "__main__":
    print(to_markdown(), end="")
