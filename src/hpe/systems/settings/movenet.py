"""Settings of MoveNet with a body, see `hpe.systems.movenet`."""

from __future__ import annotations

import dataclasses
import enum

from hpe.errors import SettingError
from hpe.options import option, require_at_least, require_not_negative
from hpe.systems import judged_by
from hpe.systems.inputs import ImageInput
from hpe.systems.registry import EXPORTS, SystemEntry, build_in, ready_in

_WEIGHTS = ("kpr_loss_weight", "body_loss_weight", "joints3d_loss_weight", "mr_loss_weight")
_PRIORS = ("shape_loss_weight", "maps_loss_weight", "stay_loss_weight", "hold_loss_weight")


class MoveNetVersion(enum.Enum):
    """The published versions: one for speed, one for accuracy."""

    LIGHTNING = "lightning"
    THUNDER = "thunder"


class Evidence(enum.Enum):
    """Whose maps correct the body."""

    NONE = "none"
    LIGHTNING = "lightning"
    THUNDER = "thunder"


@dataclasses.dataclass(frozen=True)
class MoveNetBodyConfig:
    """Networks and loss weights; the names are those of the command line."""

    movenet: MoveNetVersion = option(
        MoveNetVersion.LIGHTNING, "Network of the joints: lightning, the faster one, or thunder."
    )
    smpl_model_path: str = option(
        "default", "Body model: `default` (free, in the package) or a file in the SMPL layout (.pkl, .npz)."
    )
    lifter_size: int = option(512, "Width of the hidden layers of the network from joints to the body.")
    lifter_blocks: int = option(3, "Residual blocks of each of its stages.")
    num_stage: int = option(
        2, "Its stages; each sees how far the body of the one before lies from the joints."
    )
    evidence: Evidence = option(
        Evidence.NONE,
        "Correct the body by what the maps of lightning or thunder hold besides joints: outline, limbs and "
        "features; that of another version than `movenet` is run beside it.",
    )
    correction_size: int = option(384, "Width of the hidden layers of the network that corrects the body.")
    corrections: int = option(1, "How often it corrects the body.")
    min_score: float = option(0.0, "Joints of a score below this are taken for missing.")
    kpr_loss_weight: float = option(5.0, "Weight of the keypoint reprojection loss, of every stage.")
    body_loss_weight: float = option(2.0, "Weight of rotation and shape errors where a sample has them.")
    joints3d_loss_weight: float = option(10.0, "Weight of the 3D joint error where a sample has 3D joints.")
    mr_loss_weight: float = option(
        0.0, "Weight of the silhouette loss of the last stage, which is in pixels of a 224-pixel crop."
    )
    maps_loss_weight: float = option(0.1, "Weight of the losses of heat maps and mask of the evidence.")
    stay_loss_weight: float = option(
        0.5, "Weight of how far the evidence turns the bodies of pictures that have no 3D truth."
    )
    hold_loss_weight: float = option(
        40.0, "Weight of how far corrected bodies are from the joints that the evidence has found again."
    )
    shape_loss_weight: float = option(0.0, "Weight of the squared shape coefficients.")
    refine: int = option(
        0,
        "Steps by which predicted bodies are fitted to the joints, unless who predicts says otherwise.",
    )
    compile_body: bool = option(True, "Compile the body model with XLA.")

    @property
    def uses_evidence(self) -> bool:
        """Whether the picture corrects the body."""
        return self.evidence is not Evidence.NONE

    def __post_init__(self):
        require_at_least(
            self, 1, "lifter_size", "lifter_blocks", "num_stage", "correction_size", "corrections"
        )
        if self.refine < 0:
            raise SettingError("refine", "must not be negative.", self.refine)
        if not 0 <= self.min_score <= 1:
            raise SettingError("min_score", "must be in [0, 1].", self.min_score)
        require_not_negative(self, *_WEIGHTS, *_PRIORS)
        if not any(getattr(self, name) for name in _WEIGHTS):
            raise SettingError("kpr_loss_weight", "must be above 0 where no other loss is on.", 0.0)


ENTRY = SystemEntry(
    "movenet",
    MoveNetBodyConfig,
    ImageInput,
    build_in("hpe.systems.movenet", "build_movenet_body"),
    "image",
    defaults={"img_size": 192},
    aliases={"body_model": "smpl_model_path"},
    tags=lambda config: (config.movenet.value,),
    shown={"loss/kpr_loss": "kpr"},
    exports=EXPORTS,
    metrics=judged_by.BODIES,
    ready=ready_in("hpe.systems.movenet_ready", "ready_movenet_body"),
)
