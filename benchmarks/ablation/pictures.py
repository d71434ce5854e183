"""One picture of several runs: a row per image, a column per setting."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

import keras
import numpy as np

from benchmarks.ablation.plan import Run
from hpe.fields import Needs
from hpe.inference.predictor import Predictor
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.image_source import ImageSource
from hpe.records.reading import find_shards
from hpe.runs import load
from hpe.visualization.grids import grid, write_image
from hpe.visualization.panels import prediction_panel


def write_grid(path: pathlib.Path, runs: Sequence[Run], *, data_dir: str, report: str, count: int) -> None:
    """Draws evenly spaced images of a report's dataset, and beside them what every run makes of them.

    Args:
        path: of the picture; it shows dataset photographs, so it belongs under `runs/`.
        runs: finished ones, of one data set.
        data_dir: folder of the records.
        report: `train` or `validation`.
        count: of rows.
    """
    shards = find_shards(data_dir, [runs[0].validations[report]])
    total = sum(dataset.count for dataset in shards)
    indices = sorted(set(np.linspace(0, total, min(count, total), endpoint=False).astype(int).tolist()))
    columns = [([], []) for _ in range(len(runs) + 1)]
    samples = None
    for number, run in enumerate(runs, start=1):
        loaded = load(run.directory)
        predictor, config = Predictor(loaded.system), PipelineConfig(**vars(loaded.settings.input))
        if samples is None:
            samples = ImageSource(shards, config, Needs(("image",), "lsp14")).samples(indices)
        results = json.loads(run.report(report).read_text())["samples"]
        for index in indices:
            crop = samples[index]["image"][0].numpy()
            panel = prediction_panel(crop, predictor.predict_one(crop), 0)
            size = panel.shape[0]
            if number == 1:
                columns[0][0].append(panel[:, :size])
                columns[0][1].append(results["name"][index])
            # The mesh over the image, and turned.
            columns[number][0].append(panel[:, -2 * size :])
            columns[number][1].append(_caption(results, index))
        del predictor
        keras.backend.clear_session()
    cells, captions = [], []
    for row in range(len(indices)):
        for pictures, texts in columns:
            cells.append(pictures[row])
            captions.append(texts[row])
    body = grid(cells, columns=len(columns), captions=captions)
    titles = ["input", *(run.setting.title for run in runs)]
    # Cells as wide as those below, with nothing but their captions.
    line = np.full((1, max(cell.shape[1] for cell in cells), 3), 255, np.uint8)
    heads = grid([line] * len(columns), columns=len(columns), captions=titles)
    write_image(path, np.concatenate([heads, body]))


def _caption(samples: dict, index: int) -> str:
    parts = []
    for key, label in (("keypoint_loss@cocoplus19", "kp"), ("silhouette_iou@crop", "IoU")):
        value = samples[key][index] if key in samples else None
        if value is not None:
            parts.append(f"{label} {value:.2f}")
    return "  ".join(parts)
