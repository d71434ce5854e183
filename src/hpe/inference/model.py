"""A trained model as its users see it: pictures in, people out."""

from __future__ import annotations

import functools
import math
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpe import skeletons
from hpe.errors import UserError
from hpe.geometry.cameras import frame_camera
from hpe.geometry.crops import BOX_SHARE, Crop, box_crop
from hpe.inference.persons import person_of
from hpe.inference.pictures import as_boxes, as_masks, as_picture, as_pictures, is_one_picture, per_picture
from hpe.people.person import Person

if TYPE_CHECKING:
    from hpe.inference.predictor import Predictor
    from hpe.runs import Loaded
    from hpe.systems.refinement import Evidence

# Crops that are predicted together: more are no faster on a processor, and a graph is compiled for each number.
_TOGETHER = 16

# Of an iterable of pictures, which says nothing of time.
_FRAMES_PER_SECOND = 25.0


class Model:
    """A system that is ready to predict; `hpe.load` makes one.

    Attributes:
        step: of the checkpoint, or None.
        box_share: share of the crop's side that the longer side of a person's box fills, as in training.

    Args:
        system: the `hpe.systems.base.Predicts`.
        whole: of a system that only predicts, see `hpe.runs.load_ready`: returns it with its networks.
    """

    def __init__(
        self,
        system,
        *,
        step: int | None = None,
        box_share: float = BOX_SHARE,
        whole: Callable[[], Any] | None = None,
    ):
        self._predicts, self._whole = system, whole
        self.step = step
        self.box_share = box_share
        self._predictors: dict[int | None, Predictor] = {}

    @classmethod
    def of(cls, loaded: Loaded) -> Model:
        """Returns the model of a run or a file of weights that `hpe.runs.load` has opened."""
        box_share = getattr(loaded.settings.input, "box_share", BOX_SHARE)
        return cls(loaded.system, step=loaded.step, box_share=box_share, whole=loaded.whole)

    def __repr__(self) -> str:
        step = "" if self.step is None else f" at step {self.step}"
        return f"<hpe.Model {self.name}{step}>"

    @property
    def system(self):
        """The `hpe.systems.base.Predicts` with its networks, which are built now if nobody needed them yet."""
        return self._predicts if self._whole is None else self._whole()

    @property
    def name(self) -> str:
        """Name of the system, such as `hybrid_hmr`."""
        return self._predicts.name

    @property
    def takes(self) -> str:
        """What the model is shown: `image` for pictures, `joints2d` for 2D joints."""
        return self._predicts.input_key

    @property
    def predictor(self) -> Predictor:
        """The system compiled for batches of crops."""
        return self.predictor_of(None)

    def predictor_of(self, refine: int | None) -> Predictor:
        """Returns the predictor that fits bodies by so many steps, see `predict`.

        Raises:
            SettingError: the model predicts no body that could be fitted.
        """
        if refine not in self._predictors:
            from hpe.inference.predictor import Predictor

            # What fits bodies needs the networks' gradients.
            system = self.system if refine else self._predicts
            self._predictors[refine] = Predictor(system, refine=refine)
        return self._predictors[refine]

    def predict(
        self, image, *, boxes=None, focal=None, detector=None, refine: int | None = None, masks=None
    ) -> list:
        """Finds pose and shape of the people of a picture, or of each of several.

        Args:
            image: (H, W, 3) uint8 RGB, anything else that `hpe.inference.pictures.as_picture` takes, or a list of
                them.
            boxes: people's boxes (x, y, width, height) in pixels of the picture; None takes the whole picture for
                one person. Of a list of pictures, a list with an entry for each.
            focal: focal length of the camera in pixels; None takes the diagonal of the picture. Of a list of
                pictures, one number or a list.
            detector: what finds the people where no boxes are given: `default` for the one of the package, or a
                `hpe.people.detection.PersonDetector`; None takes the whole picture for one person.
            refine: steps by which every body is fitted to the 2D joints that are found in its crop: some ten bring
                limbs nearer, and take as long again as the prediction. None for what the model's settings say,
                which is 0 for most.
            masks: (N, H, W), non-zero pixels are the person of each box; bodies are fitted to them, too. Of a list
                of pictures, a list with an entry for each, None where a picture has none.

        Returns:
            List of Persons, in the order of the boxes, or the surest first; of a list of pictures, a list of such
            lists.

        Raises:
            UserError: the model takes no pictures, or a file cannot be read.
            TypeError, ValueError: what was given is no picture, box, focal length, mask or number of steps.
        """
        self._check_takes("image")
        refine = None if refine is None else operator.index(refine)
        if masks is not None and (boxes is None or not self.predictor_of(refine).refine):
            raise ValueError(
                "masks are for people of given boxes, and for a fit: give boxes and refine, too."
            )
        detect = None if boxes is not None else _detector(detector)
        if is_one_picture(image):
            return self._predict([as_picture(image)], [boxes], [focal], detect, refine, [masks])[0]
        pictures = as_pictures(image)
        focals = per_picture(None if np.ndim(focal) == 0 else focal, len(pictures), "focal")
        if np.ndim(focal) == 0:
            focals = [focal] * len(pictures)
        boxes, masks = (
            per_picture(values, len(pictures), name) for values, name in ((boxes, "boxes"), (masks, "masks"))
        )
        return self._predict(pictures, boxes, focals, detect, refine, masks)

    def track(
        self, video, *, focal: float | None = None, detector="default", refine: int | None = None
    ) -> Iterator[list[Person]]:
        """Follows the people of a video: they are found now and then, numbered, and smoothed over time.

        Args:
            video: path of a video file, number of a camera, or an iterable of pictures at 25 frames per second.
            focal: focal length of the camera in pixels; None takes the diagonal of the frame.
            detector, refine: as of `predict`.

        Yields:
            For every frame the Persons in it, with a `track_id`.

        Raises:
            UserError: the model takes no pictures, or the video cannot be opened.
        """
        from hpe.inference.sources import VideoSource
        from hpe.inference.tracking import VideoTracker

        self._check_takes("image")
        detect = _detector(detector) or _whole_frame
        tracker = VideoTracker(
            lambda frame, boxes: self.predict(frame, boxes=boxes, focal=focal, refine=refine), detect
        )
        if isinstance(video, (int, str, os.PathLike)):
            source = VideoSource(video if isinstance(video, int) else os.fspath(video))
            for frame in source.frames():
                yield tracker(frame.image, frame.time)
            return
        for number, image in enumerate(video):
            yield tracker(as_picture(image), number / _FRAMES_PER_SECOND)

    def _predict(
        self,
        pictures: Sequence[np.ndarray],
        boxes: Sequence,
        focals: Sequence,
        detect: Callable | None,
        refine: int | None,
        masks: Sequence,
    ) -> list[list[Person]]:
        cameras = [
            frame_camera(picture.shape[:2], focal=_checked_focal(focal))
            for picture, focal in zip(pictures, focals, strict=True)
        ]
        places: list[tuple] = []
        outlines: list[np.ndarray | None] = []
        for number, picture in enumerate(pictures):
            found, scores = (boxes[number], None) if detect is None else detect(picture)
            found = as_boxes(found, picture.shape[:2])
            scores = [1.0] * len(found) if scores is None else scores
            places += [(number, box, float(score)) for box, score in zip(found, scores, strict=True)]
            outlines += as_masks(masks[number], len(found), picture.shape[:2])
        people: list[list[Person]] = [[] for _ in pictures]
        body_model = next(iter(self._predicts.body_models), None)
        predictor = self.predictor_of(refine)
        size = predictor.image_size
        for start in range(0, len(places), _TOGETHER):
            chosen = places[start : start + _TOGETHER]
            crops = [box_crop(box, size, box_share=self.box_share) for _, box, _ in chosen]
            images = [crop.take(pictures[number]) for crop, (number, *_) in zip(crops, chosen, strict=True)]
            # A graph is compiled for each number of crops: few numbers, or it would go on at every other frame.
            spare = (1 << (len(crops) - 1).bit_length()) - len(crops) if predictor.compiles else 0
            images += spare * images[-1:]
            shown = outlines[start : start + _TOGETHER]
            evidence = _evidence(shown + spare * shown[-1:], crops + spare * crops[-1:])
            prediction = predictor(np.stack(images), evidence)
            for index, ((number, box, score), crop) in enumerate(zip(chosen, crops, strict=True)):
                person = person_of(
                    prediction,
                    index,
                    crop=crop,
                    camera=cameras[number],
                    box=box,
                    score=score,
                    body_model=body_model,
                )
                people[number].append(person)
        return people

    def export(self, path: str | os.PathLike, *, format: str | None = None) -> None:
        """Writes the model to a file that runs without this package; see `hpe.export.model_files`.

        Args:
            path: the folder of a SavedModel, or a file that ends in .tflite or .onnx.
            format: `saved_model`, `litert` or `onnx`; by default what the ending of the name says.

        Raises:
            UserError: the format is unknown, its converter is not installed, or the file cannot be written.
        """
        from hpe.export.model_files import export_model

        export_model(self.system, path, format=format, details=self.details())

    def details(self) -> dict:
        """Returns what files of the model tell of it besides its arrays."""
        return {"step": self.step, "box_share": self.box_share if self.takes == "image" else None}

    def predict_joints2d(
        self,
        joints2d,
        skeleton: str,
        *,
        confidence=None,
        size: tuple[int, int] | None = None,
        focal=None,
        refine: int | None = None,
    ) -> list[Person]:
        """Lifts the 2D joints of people, from any detector, to 3D.

        Args:
            joints2d: (N, J, 2) pixels of one picture, or (J, 2) of one person; joints that were not found are NaN,
                or have the confidence 0.
            skeleton: name of their skeleton, see `hpe.skeletons`.
            confidence: (N, J) or (J,) in [0, 1]; None takes every finite joint for found.
            size: (height, width) of the picture; without it people are placed in no camera.
            focal: focal length of the camera in pixels; None takes the diagonal of the picture.
            refine: steps by which bodies are fitted to the joints, see `predict`.

        Returns:
            List of Persons. Without `size` their 3D joints are relative to the pelvis, and camera and translation
            are None.

        Raises:
            UserError: the model takes pictures, or joints that this skeleton lacks, or needs `size`.
            ValueError: the arrays do not fit the skeleton or one another.
        """
        from hpe.inference.lifting import bodies, lift

        camera = None if size is None else frame_camera(size, focal=_checked_focal(focal))
        if hasattr(self._predicts, "infer_joints2d"):
            own = skeletons.get(skeleton)
            refinement = self.predictor_of(refine).refinement
            return bodies(
                self._predicts, joints2d, own, confidence=confidence, camera=camera, refinement=refinement
            )
        self._check_takes("joints2d")
        return lift(
            self.predictor_of(refine), joints2d, skeletons.get(skeleton), confidence=confidence, camera=camera
        )

    def _check_takes(self, wanted: str) -> None:
        if self.takes == wanted:
            return
        if self.takes == "joints2d":
            raise UserError(
                f"{self.name} takes 2D joints, not pictures: call predict_joints2d(joints2d, skeleton), or join it "
                "to a run that finds joints in pictures (system hrnet_lifter)."
            )
        raise UserError(f"{self.name} takes pictures, not 2D joints: call predict(image).")


def _evidence(masks: Sequence[np.ndarray | None], crops: Sequence[Crop]) -> Evidence | None:
    """Returns the masks (H, W) of people, cut out of their pictures; None if there are none."""
    if all(mask is None for mask in masks):
        return None
    from hpe.systems.refinement import Evidence

    nothing = np.zeros((crops[0].size,) * 2, np.uint8)
    cut = [nothing if mask is None else crop.take_mask(mask) for mask, crop in zip(masks, crops, strict=True)]
    return Evidence(masks=np.stack(cut), has_mask=np.array([mask is not None for mask in masks], np.float32))


def _detector(detector) -> Callable | None:
    """Returns a function from a picture to boxes (N, 4) and scores (N,), or None for no detector."""
    if detector is None:
        return None
    if isinstance(detector, str) and detector == "default":
        detector = _default_detector()
    elif not callable(detector):
        raise ValueError(f"detector is 'default', a PersonDetector, or None. Received: detector={detector!r}")

    def detect(picture):
        found = detector(picture)
        return found.boxes, found.scores

    return detect


def _whole_frame(picture: np.ndarray):
    height, width = picture.shape[:2]
    return np.array([[0.0, 0.0, width, height]]), np.ones(1)


@functools.cache
def _default_detector():
    # One for all models: it is built in a second and more.
    from hpe.people.detection import RtmdetDetector

    return RtmdetDetector()


def _checked_focal(focal) -> float | None:
    if focal is None:
        return None
    if isinstance(focal, bool) or not isinstance(focal, (int, float, np.number)):
        raise TypeError(f"focal is a number of pixels. Received: focal={focal!r}")
    if not 0 < focal < math.inf:
        raise ValueError(f"focal is a positive number of pixels. Received: focal={focal!r}")
    return float(focal)
