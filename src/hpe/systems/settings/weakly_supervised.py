"""Settings of the weakly supervised 3D pose, see `hpe.systems.weakly_supervised`."""

from __future__ import annotations

import dataclasses
import enum
import math

from hpe import skeletons
from hpe.errors import SettingError
from hpe.options import option, require_at_least, require_not_negative
from hpe.systems import judged_by
from hpe.systems.inputs import ImageInput
from hpe.systems.registry import EXPORTS, SystemEntry, build_in

NO_WEIGHTS = "none"
_STRIDES = (0, 4, 8, 16, 32)


class Task(enum.Enum):
    """What is predicted: 2D joints alone, or 3D joints."""

    HUMAN2D = "human2d"
    HUMAN3D = "human3d"


@dataclasses.dataclass(frozen=True)
class WeaklySupervisedConfig:
    """Networks and losses of the weakly supervised 3D pose; the names are those of the command line."""

    task: Task = option(
        Task.HUMAN3D, "Maps that are learned: human2d, heat maps alone, or human3d, maps of depth, too."
    )
    encoder: str = option(
        "msra_50",
        "Encoder: msra_18 to msra_152, the ResNets of PyTorch; any backbone of keras.applications; or one that "
        "comes with the package and its weights: small, movenet_lightning, movenet_thunder.",
    )
    encoder_weights: str = option(
        NO_WEIGHTS,
        "Encoder weights: none, pretrained (what there is of the encoder, see `encoder`), or a weights file; of "
        "msra_50 and the like none, or a PyTorch file, such as torchvision's resnet50.pth.",
    )
    encoder_stride: int = option(
        0,
        "Pixels a cell of the encoder's map that the transposed convolutions start from: 4, 8, 16 or 32; 0: the "
        "coarsest one.",
    )
    skeleton: str = option(
        skeletons.MPII16.name, f"Joint set of the maps: {', '.join(sorted(skeletons.SKELETONS))}."
    )
    heatmap_size: int = option(0, "Cells a side of the maps; 0: a quarter of `img_size`.")
    heatmap_sigma: float = option(2.0, "Standard deviation of the Gaussians that are learned, in cells.")
    deconv_width: int = option(256, "Channels of the transposed convolutions.")
    weight_3d: float = option(0.1, "Weight of the error of depths where a sample has 3D joints.")
    weight_var: float = option(
        0.0,
        "Weight of the geometry loss, by which bones keep their proportions where there are no 3D joints.",
    )
    published_preprocessing: bool = option(
        False, "Show an msra encoder BGR / 256, as the published weights expect it, instead of RGB / 255."
    )
    flip_test: bool = option(
        True, "Predict from the mean of the maps of a crop and of its mirror image; takes twice the time."
    )

    def __post_init__(self):
        if self.skeleton not in skeletons.SKELETONS:
            raise SettingError(
                "skeleton", f"must be one of {', '.join(sorted(skeletons.SKELETONS))}.", self.skeleton
            )
        if self.encoder_stride not in _STRIDES:
            raise SettingError(
                "encoder_stride", f"must be one of {', '.join(map(str, _STRIDES))}.", self.encoder_stride
            )
        if self.heatmap_size < 0:
            raise SettingError("heatmap_size", "must not be negative.", self.heatmap_size)
        require_at_least(self, 1, "deconv_width")
        if not 0 < self.heatmap_sigma < math.inf:
            raise SettingError("heatmap_sigma", "must be finite and above 0.", self.heatmap_sigma)
        require_not_negative(self, "weight_3d", "weight_var")
        if self.task is Task.HUMAN2D:
            if self.weight_var:
                raise SettingError(
                    "weight_var", "needs the maps of depth of `task=human3d`.", self.weight_var
                )
        elif not self.weight_3d and not self.weight_var:
            raise SettingError(
                "weight_3d",
                "must be above 0 where `weight_var` is 0, or nothing teaches depth.",
                self.weight_3d,
            )


def weakly_supervised_coordinates(config: WeaklySupervisedConfig, input: ImageInput) -> dict[str, str]:
    """Says of which joints the maps are; see `hpe.systems.SystemEntry`."""
    of_joints = f"`skeleton={config.skeleton}`"
    return {
        "encoder": f"`published_preprocessing={config.published_preprocessing}`",
        "heatmap_head": of_joints,
        "depth_head": of_joints,
    }


# Crops and rates of the published code, with a uniform scale between the ends of its clipped normal distribution.
# 3D people are not turned there: a dataset says so for itself, such as `h36m_eccv18_train,rotation_max=0`.
ENTRY = SystemEntry(
    "weakly_supervised",
    WeaklySupervisedConfig,
    ImageInput,
    build_in("hpe.systems.weakly_supervised", "build_weakly_supervised"),
    "image",
    metrics=judged_by.LIFTED_IN_PICTURES,
    defaults={
        "img_size": 256,
        "trans_max": 0,
        "scale_min": 0.75,
        "scale_max": 1.25,
        "rotation_max": 60.0,
        "batch_size": 32,
        "num_epochs": 140,
        "generator_lr": 1e-3,
    },
    # The published spellings that mean the same; docs/weakly_supervised.md has the others.
    aliases={
        "arch": "encoder",
        "dataset": "datasets",
        "exp_id": "model_dir",
        "input_h": "img_size",
        "load_model": "init_from",
        "lr": "generator_lr",
        "lr_step": "lr_step_epochs",
        "num_epoch": "num_epochs",
        "output_h": "heatmap_size",
        "random_seed": "seed",
        "val_intervals": "validation_epochs",
    },
    coordinates=weakly_supervised_coordinates,
    tags=lambda config: (config.task.value,),
    shown={"heatmaps/accuracy": "accuracy", "loss/depth_loss": "depth"},
    exports=EXPORTS,
)
