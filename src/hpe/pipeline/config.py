"""What the input pipeline is told: crop size, augmentation, shuffling and parallelism."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from hpe.errors import SettingError
from hpe.options import option
from hpe.systems.inputs import ImageInput


@dataclasses.dataclass(frozen=True)
class PipelineConfig(ImageInput):
    """Settings of the input pipeline, those of the input included; names are flag names.

    Lengths in pixels (`trans_max`) are those of a crop of 224 pixels, whatever `img_size` is: the same flags
    give the same picture content at every crop size.
    """

    # What a dataset may have of its own, see `hpe.pipeline.spec`.
    OWN: ClassVar[tuple[str, ...]] = (
        *("trans_max", "scale_max", "scale_min", "flip", "flip_probability", "rotation_max"),
        *("rotation_probability", "half_body_probability", "color_noise", "color_noise_probability"),
        *("blur_probability", "occluder_probability", "joints"),
    )

    trans_max: int = option(
        20, "The crop is shifted by up to this many pixels of a 224 crop, per axis, in training."
    )
    scale_max: float = option(1.23, "Largest random scale of the person in training.")
    scale_min: float = option(0.8, "Smallest random scale of the person in training.")
    flip: bool = option(True, "Mirror training images at random.")
    flip_probability: float = option(0.5, "Share of the training images that `flip` mirrors.")
    rotation_max: float = option(
        0.0,
        "Largest random rotation of the crop in training, in degrees: twice the standard deviation. HRNet: 60 for "
        "MPII, 90 for COCO; SPIN and PARE: 60.",
    )
    rotation_probability: float = option(
        0.6, "Share of the training crops that are turned, if any are. HRNet: 0.6; SPIN and PARE: 0.4."
    )
    half_body_probability: float = option(
        0.0,
        "Share of the training crops that are taken around the upper or the lower half of a person, if more than 8 "
        "joints are visible. HRNet: 0.3 for COCO.",
    )
    color_noise: float = option(
        0.0,
        "Every channel of a training crop is multiplied by 1 plus or minus up to this. SPIN and PARE: 0.4.",
    )
    color_noise_probability: float = option(1.0, "Share of the training crops that get `color_noise`.")
    blur_probability: float = option(
        0.0, "Share of the training crops that are blurred as by motion, over up to 15 pixels of a 224 crop."
    )
    occluder_probability: float = option(
        0.0, "Share of the training crops that things are pasted in front of, one to seven; labels stay."
    )
    occluders: str = option(
        "painted",
        "What is pasted: painted, or a folder of objects: PNG files with an alpha channel, or `images` and `masks` "
        "of a segmented dataset.",
    )
    shuffle_buffer: int = option(
        10000, "Encoded training records held in memory to draw from; lower it when memory is short."
    )
    dataset_ratios: tuple[str, ...] = option(
        (),
        "One number per name in `datasets`, such as 0.3,0.7: the shares of the training images that are drawn from "
        "them; none: all records are mixed.",
    )
    ratio_3d: float = option(
        0.0,
        "People with 3D joints for each one without, in every batch: 1 is as many of both. Datasets of one kind "
        "share by their sizes. 0: all records are mixed, or `datasets` have shares of their own.",
    )
    num_parallel_calls: int = option(0, "Threads that decode images; 0: one per core, at most 16.")

    def __post_init__(self):
        super().__post_init__()
        if self.shuffle_buffer < 1:
            raise SettingError("shuffle_buffer", "must be at least 1.", self.shuffle_buffer)
        for name in ("trans_max", "num_parallel_calls"):
            if getattr(self, name) < 0:
                raise SettingError(name, "must not be negative.", getattr(self, name))
        if not 0 < self.scale_min <= self.scale_max:
            raise SettingError(
                "scale_min",
                f"must be above 0 and not above `scale_max={self.scale_max}`.",
                self.scale_min,
            )
        shares = [field.name for field in dataclasses.fields(self) if field.name.endswith("_probability")]
        for name, largest in (("rotation_max", 180), ("color_noise", 1), *((share, 1) for share in shares)):
            if not 0 <= getattr(self, name) <= largest:
                raise SettingError(name, f"must be from 0 to {largest}.", getattr(self, name))
        if not 0 <= self.ratio_3d < math.inf:
            raise SettingError("ratio_3d", "must be finite and not negative.", self.ratio_3d)
        if self.ratio_3d and self.dataset_ratios:
            raise SettingError(
                "ratio_3d", "and `dataset_ratios` both say the shares; give one of the two.", self.ratio_3d
            )
        try:
            ratios = self.ratios
        except ValueError:
            raise SettingError(
                "dataset_ratios", "must be numbers, separated by commas.", self.dataset_ratios
            ) from None
        if not all(math.isfinite(ratio) and ratio >= 0 for ratio in ratios):
            raise SettingError("dataset_ratios", "must not be negative and be finite.", self.dataset_ratios)
        if ratios and not any(ratios):
            raise SettingError("dataset_ratios", "needs a number above 0.", self.dataset_ratios)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The dataset ratios as numbers; they need not add up to 1."""
        return tuple(float(ratio) for ratio in self.dataset_ratios)
