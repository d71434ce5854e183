"""Person detectors from ONNX files, run by onnxruntime: two output layouts, told by their shapes.

RTMDet takes (B, 3, H, W) float32, BGR, normalised, and yields `dets` (B, N, 5): corners and score. YOLOX takes
(1, 3, S, S) float32, BGR 0 to 255, and yields (1, N, 5 + classes): centre and logarithm of the size in strides from
each cell, objectness, and class scores. Both see the picture at the top left of a square canvas.
"""

from __future__ import annotations

import os

import numpy as np

from hpe.errors import UserError, first_line
from hpe.people.detection import Detections, letterbox, normalize, select

_RTMDET_SIDE = 320
_YOLOX_STRIDES = (8, 16, 32)
_PERSON = 0  # of COCO's classes


class OnnxDetector:
    """A detector from an ONNX file.

    Args:
        path: the file.
        threshold: least score of a person.
        overlap: of two boxes whose intersection over union is larger, the surer one is kept.

    Raises:
        UserError: onnxruntime is not installed, the file cannot be read, or its outputs are of another layout.
    """

    def __init__(self, path: str | os.PathLike, *, threshold: float = 0.3, overlap: float = 0.5):
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(
                f"{path}: ONNX files are run by onnxruntime, which is not installed: pip install onnxruntime."
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone, which come as exceptions too
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions have no common public base
            raise UserError(f"{path}: is not an ONNX file that can be run ({first_line(error)}).") from error
        self._path, self._threshold, self._overlap = path, threshold, overlap
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input = inputs[0].name
        last = outputs[0].shape[-1] if outputs[0].shape else None
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3:
            raise UserError(f"{path}: does not take one picture (B, 3, H, W), but {_described(inputs)}.")
        fixed = [side for side in shape[2:] if isinstance(side, int)]
        if outputs[0].name == "dets" or last == 5:
            self._side, self._find = (fixed or [_RTMDET_SIDE])[0], self._find_rtmdet
        elif isinstance(last, int) and last > 5 and len(outputs[0].shape) == 3 and len(set(fixed)) == 1:
            self._side, self._find = fixed[0], self._find_yolox
        else:
            raise UserError(
                f"{path}: its outputs are of no layout that is known (RTMDet: boxes (B, N, 5); YOLOX: (1, N, 5 + "
                f"classes) of a square input), but {_described(outputs)}."
            )

    def __call__(self, image: np.ndarray) -> Detections:
        """Finds the people in an image (H, W, 3), uint8 RGB."""
        canvas, scale = letterbox(image, longer_side=self._side, square=True)
        corners, scores = self._find(canvas)
        return select(
            (corners + 0.5) / scale - 0.5,
            scores,
            size=image.shape[:2],
            threshold=self._threshold,
            overlap=self._overlap,
        )

    def _find_rtmdet(self, canvas: np.ndarray):
        found = self._run(normalize(canvas)).reshape(-1, 5)
        return found[:, :4], found[:, 4]

    def _find_yolox(self, canvas: np.ndarray):
        found = self._run(canvas[..., ::-1])[0]
        places, strides = [], []
        for stride in _YOLOX_STRIDES:
            rows, columns = np.mgrid[: self._side // stride, : self._side // stride]
            places.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
            strides.append(np.full((places[-1].shape[0], 1), stride))
        places, strides = np.concatenate(places), np.concatenate(strides)
        if len(places) != len(found):
            raise UserError(
                f"{self._path}: yields {len(found)} boxes, where YOLOX yields {len(places)} of a picture of "
                f"{self._side} pixels."
            )
        centers = (found[:, :2] + places) * strides
        # What a damaged file makes infinite, `select` leaves out.
        half = 0.5 * np.exp(np.minimum(found[:, 2:4], 20)) * strides
        return np.concatenate([centers - half, centers + half], axis=1), found[:, 4] * found[:, 5 + _PERSON]

    def _run(self, canvas: np.ndarray) -> np.ndarray:
        inputs = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)
        try:
            return self._session.run(None, {self._input: inputs})[0]
        except Exception as error:
            raise UserError(f"{self._path}: cannot be run ({first_line(error)}).") from error


def _described(values) -> str:
    return ", ".join(f"{value.name} {value.shape}" for value in values)
