"""Settings of HEMlets, see `hpe.systems.hemlets`."""

from __future__ import annotations

import dataclasses
import enum
import math

from hpe.errors import SettingError
from hpe.options import option, require_at_least, require_not_negative
from hpe.systems import judged_by
from hpe.systems.inputs import ImageInput
from hpe.systems.registry import EXPORTS, SystemEntry, build_in

NO_WEIGHTS = "none"


class MapOrder(enum.Enum):
    """Which of the 60 maps come first; the published network does not say."""

    JOINTS_FIRST = "joints_first"
    TRIPLETS_FIRST = "triplets_first"


class TripletOrder(enum.Enum):
    """How the 42 maps of triplets lie: the three of a part together, or those of a state of all parts."""

    BY_PART = "by_part"
    BY_STATE = "by_state"


class Bones(enum.Enum):
    """Whose bones tell how large people are, see `hpe.skeletons.parts`."""

    H36M = "h36m"
    DEFAULT_BODY = "default_body"


@dataclasses.dataclass(frozen=True)
class HemletsConfig:
    """Networks and losses of HEMlets; the names are those of the command line."""

    encoder: str = option(
        "msra_50",
        "Encoder: msra_18 to msra_152, the ResNets of PyTorch, of which the published network has the 50; any "
        "backbone of keras.applications; or one that comes with the package and its weights: small, "
        "movenet_lightning, movenet_thunder.",
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
    volume_size: int = option(
        64, "Cells a side of the maps and the volumes: that of the encoder's map times a power of two."
    )
    volume_depth: int = option(0, "Cells along the depth of the volumes; 0: as many as along a side.")
    branch_width: int = option(256, "Channels of the transposed convolutions.")
    feature_width: int = option(1024, "Channels of the features and of the layer before the volumes.")
    heatmap_sigma: float = option(
        math.sqrt(2.0), "Standard deviation of the Gaussians that are learned, in cells."
    )
    triplet_tolerance: float = option(
        0.1, "Metres by which one joint of a part must be nearer to the camera to count as nearer."
    )
    joints_loss_weight: float = option(
        10.0,
        "Weight of the error of 3D joints, in sides of the volume; in the picture alone without 3D truth.",
    )
    triplet_loss_weight: float = option(0.01, "Weight of the squared error of the triplets' maps.")
    heatmap_loss_weight: float = option(0.01, "Weight of the squared error of the joints' maps.")
    map_order: MapOrder = option(
        MapOrder.JOINTS_FIRST, "Whether joints_first or triplets_first of the 60 maps."
    )
    triplet_order: TripletOrder = option(
        TripletOrder.BY_PART, "Whether the maps of triplets lie by_part or by_state."
    )
    bones: Bones = option(
        Bones.H36M,
        "Whose bones tell how large people are: h36m, the subjects of Human3.6M, or default_body, whose joints are "
        "those of synthetic people.",
    )
    joint_confidence: bool = option(
        True,
        "Take the height of a joint's map for how sure it is; off where the order of the maps is unknown.",
    )
    flip_test: bool = option(
        True, "Predict from the mean of a crop and of its mirror image; takes twice the time."
    )

    def __post_init__(self):
        require_at_least(self, 2, "volume_size")
        require_at_least(self, 1, "branch_width", "feature_width")
        if self.volume_depth < 0 or self.volume_depth == 1:
            raise SettingError("volume_depth", "must be 0, or at least 2.", self.volume_depth)
        if not 0 < self.heatmap_sigma < math.inf:
            raise SettingError("heatmap_sigma", "must be finite and above 0.", self.heatmap_sigma)
        weights = ("joints_loss_weight", "triplet_loss_weight", "heatmap_loss_weight")
        require_not_negative(self, "triplet_tolerance", *weights)
        if not any(getattr(self, name) for name in weights):
            raise SettingError("joints_loss_weight", "must be above 0 where no other loss is on.", 0.0)


def hemlets_coordinates(config: HemletsConfig, input: ImageInput) -> dict[str, str]:
    """Says which maps the weights are for; see `hpe.systems.SystemEntry`."""
    order = f"`map_order={config.map_order.value}` and `triplet_order={config.triplet_order.value}`"
    return {"maps": order, "volume": order}


ENTRY = SystemEntry(
    "hemlets",
    HemletsConfig,
    ImageInput,
    build_in("hpe.systems.hemlets", "build_hemlets"),
    "image",
    defaults={"img_size": 256, "batch_size": 16, "num_epochs": 30, "generator_lr": 1e-4},
    tags=lambda config: (config.encoder,),
    shown={"loss/joints_loss": "joints"},
    exports=EXPORTS,
    metrics=judged_by.JOINTS_OF_PICTURES,
)
