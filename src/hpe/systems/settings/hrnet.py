"""Settings of HRNet, see `hpe.systems.hrnet`."""

from __future__ import annotations

import dataclasses
import math

from hpe import skeletons
from hpe.errors import SettingError
from hpe.options import option, require_at_least
from hpe.systems import judged_by
from hpe.systems.inputs import ImageInput
from hpe.systems.registry import EXPORTS, SystemEntry, build_in

NO_WEIGHTS = "none"


@dataclasses.dataclass(frozen=True)
class HrnetConfig:
    """Network and targets of HRNet; the names are those of the command line."""

    hrnet_width: int = option(
        32, "Channels of the finest branch: 32 and 48 are the published networks, 8 suits a CPU."
    )
    skeleton: str = option(
        skeletons.LSP14.name, f"Joint set of the heat maps: {', '.join(sorted(skeletons.SKELETONS))}."
    )
    hrnet_weights: str = option(
        NO_WEIGHTS, "Weights to start from: none, or a file that hpe convert-hrnet wrote."
    )
    backbone_only: bool = option(
        False, "Take the backbone of `hrnet_weights` alone, and start with a new head, as for other joints."
    )
    heatmap_sigma: float = option(
        2.0,
        "Standard deviation of the Gaussians that are learned, in cells of a quarter of the crop's pixels.",
    )
    flip_test: bool = option(
        True,
        "Predict from the mean of the heat maps of a crop and of its mirror image; takes twice the time.",
    )
    mixed_precision: bool = option(
        False, "Backbone in bfloat16 (its weights in float32); heat maps and losses stay in float32."
    )

    def __post_init__(self):
        require_at_least(self, 1, "hrnet_width")
        if self.skeleton not in skeletons.SKELETONS:
            raise SettingError(
                "skeleton", f"must be one of {', '.join(sorted(skeletons.SKELETONS))}.", self.skeleton
            )
        if not 0 < self.heatmap_sigma < math.inf:
            raise SettingError("heatmap_sigma", "must be finite and above 0.", self.heatmap_sigma)
        if self.backbone_only and self.hrnet_weights == NO_WEIGHTS:
            raise SettingError("backbone_only", "needs `hrnet_weights`.")


def hrnet_coordinates(config: HrnetConfig, input: ImageInput) -> dict[str, str]:
    """Says of which joints the heat maps are; see `hpe.systems.SystemEntry`."""
    return {"head": f"`skeleton={config.skeleton}`"}


# Crops as the reference has them for MPII, with a uniform scale between the ends of its own.
ENTRY = SystemEntry(
    "hrnet",
    HrnetConfig,
    ImageInput,
    build_in("hpe.systems.hrnet", "build_hrnet_system"),
    "image",
    metrics=judged_by.KEYPOINTS,
    defaults={
        "img_size": 256,
        "trans_max": 0,
        "scale_min": 0.8,
        "scale_max": 1.33,
        "rotation_max": 60.0,
        "batch_size": 32,
        "num_epochs": 210,
        "generator_lr": 1e-3,
        "freeze_networks": ("backbone",),
    },
    coordinates=hrnet_coordinates,
    shown={"heatmaps/accuracy": "accuracy"},
    exports=EXPORTS,
)
