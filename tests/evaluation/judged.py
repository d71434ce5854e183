"""A source and a predictor that hold what they are told, for tests of judging."""

import contextlib
import types

import numpy as np

from hpe.evaluation.judging import judge
from hpe.fields import Needs
from hpe.records.manifest import Manifest
from hpe.systems.prediction import Prediction


class Batches(list):
    def as_numpy_iterator(self):
        return iter(self)


class Source:
    """Samples in memory: arrays by key, cut into batches that are filled up."""

    def __init__(self, fields, *, unit="image", skeleton2d="lsp14", skeleton3d=None, datasets=None):
        self.fields = {**fields}
        self.count = len(next(iter(fields.values())))
        self.fields.setdefault("name", np.array([b"sample_%d" % row for row in range(self.count)]))
        self.unit = unit
        self.needs = Needs(fields=tuple(fields), skeleton2d=skeleton2d, skeleton3d=skeleton3d)
        datasets = datasets or [("some", self.count)]
        self.shards = [
            types.SimpleNamespace(name=name, count=count, manifest=Manifest(name, skeleton2d, ()))
            for name, count in datasets
        ]

    def for_needs(self, needs):
        self.wanted = needs
        return self

    def explaining(self):
        return contextlib.nullcontext()

    def evaluation_batches(self, *, batch_size):
        batches = Batches()
        for start in range(0, self.count, batch_size):
            part = {key: value[start : start + batch_size] for key, value in self.fields.items()}
            missing = batch_size - len(part["name"])
            batch = {
                key: np.concatenate([value, np.zeros((missing, *value.shape[1:]), value.dtype)])
                for key, value in part.items()
            }
            valid = np.ones(batch_size, np.float32)
            valid[batch_size - missing :] = 0
            batches.append({**batch, "valid": valid})
        return batches


class Predictor:
    """Answers with predictions that were made beforehand, in the order of the samples."""

    def __init__(self, answers, *, key="joints2d", skeleton="lsp14", skeleton3d=None, metrics=(), **system):
        self.answers, self.asked, self.skeletons = answers, 0, (skeleton, skeleton3d)
        known = {
            "name": "knowing",
            "input_key": key,
            "skeleton": skeleton,
            "body_models": (),
            "metrics": metrics,
        }
        self.system = types.SimpleNamespace(**(known | system))

    def __call__(self, inputs):
        rows = (self.asked + np.arange(len(inputs))) % len(next(iter(self.answers.values())))
        self.asked += len(inputs)
        fields = {name: value if name == "faces" else value[rows] for name, value in self.answers.items()}
        fields.setdefault("joints2d", np.zeros((len(inputs), 1, 2), np.float32))
        return Prediction(skeleton=self.skeletons[0], skeleton3d=self.skeletons[1], **fields)


def judged(predictor, source, *, batch_size=3, **options):
    return judge(predictor, source, batch_size=batch_size, show_progress=False, **options)
