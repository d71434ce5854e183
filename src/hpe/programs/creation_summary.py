"""What became of datasets that were created, as a table."""

from __future__ import annotations

from collections.abc import Iterable

from hpe.records.writing import WriteSummary

_NAMES_SHOWN = 3


def format_summary(summaries: Iterable[WriteSummary]) -> str:
    """Returns a table of what was read, kept and skipped, with the first names of every reason."""
    summaries = list(summaries)
    columns = ["dataset", "read", "kept", "masks", "skipped", "files", "MiB", "s", "records/s"]
    # Of recordings the sequences are counted, and then the frames in those that were kept.
    with_frames = any(summary.frames is not None for summary in summaries)
    rows = [(*columns, "frames") if with_frames else tuple(columns)]
    remarks = []
    for summary in summaries:
        rows.append(
            (
                summary.name,
                f"{summary.read}",
                f"{summary.kept}",
                f"{summary.with_mask}",
                f"{summary.read - summary.kept}",
                f"{summary.shards}",
                f"{summary.bytes / 2**20:.1f}",
                f"{summary.seconds:.1f}",
                f"{summary.kept / max(summary.seconds, 1e-9):.0f}",
            )
            + ((f"{summary.frames or '-'}",) if with_frames else ())
        )
        for kind, reasons in (("skipped", summary.skipped), ("note", summary.notes)):
            for reason, names in sorted(reasons.items()):
                shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
                remarks.append(f"{summary.name}: {kind}: {len(names)} x {reason} ({shown})")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    return "\n".join(["", *lines, *remarks])
