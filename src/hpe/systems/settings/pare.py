"""Settings of PARE, see `hpe.systems.pare`."""

from __future__ import annotations

import dataclasses
import enum

from hpe.errors import SettingError
from hpe.options import option, require_at_least, require_not_negative
from hpe.systems import judged_by
from hpe.systems.inputs import ImageInput
from hpe.systems.registry import EXPORTS, SystemEntry, build_in

NO_WEIGHTS = "none"
HRNET = "hrnet"
SKELETONS = ("cocoplus19", "spin49")

_WEIGHTS = (
    "keypoint_loss_weight",
    "joints3d_loss_weight",
    "pose_loss_weight",
    "shape_loss_weight",
    "part_loss_weight",
    "camera_prior_weight",
)


class Method(enum.Enum):
    """The network: PARE, or the course's dummy of 8 x 8 pixels."""

    PARE = "pare"
    BASELINE = "baseline"


class UpFusion(enum.Enum):
    """How HRNet's coarser branches come to the resolution of the finest: by convolutions, or interpolated alone."""

    CONV = "conv"
    INTERP = "interp"


class Activation(enum.Enum):
    """What makes weights of a part's map: all cells share 1, or each has its own."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


@dataclasses.dataclass(frozen=True)
class PareConfig:
    """Networks and loss weights of PARE; the names are those of the command line."""

    method: Method = option(Method.PARE, "pare, or baseline: the course's dummy, which sees 8 x 8 pixels.")
    encoder: str = option(
        HRNET, "`hrnet`, `resnet50_pytorch` (the variant of PyTorch's weights), or an encoder of hybrid_hmr."
    )
    hrnet_width: int = option(
        32, "Channels of HRNet's finest branch: 32 and 48 are the published networks, 8 suits a CPU."
    )
    up_fusion: UpFusion = option(
        UpFusion.CONV, "How HRNet's branches are joined: conv, as in the released networks, or interp."
    )
    map_strides: tuple[str, ...] = option(
        (),
        "Strides of the maps that another encoder than HRNet gives, such as 8,16; by default its own choice.",
    )
    encoder_weights: str = option(
        NO_WEIGHTS,
        "Encoder weights: none; of HRNet a file of hpe convert-hrnet or a PyTorch file; of resnet50_pytorch a "
        "PyTorch file; of others as for hybrid_hmr.",
    )
    smpl_model_path: str = option(
        "default", "Body model: `default` (free, in the package) or a file in the SMPL layout (.pkl, .npz)."
    )
    body_model_male: str | None = option(
        None, "Body model of men, whose records evaluation compares with it."
    )
    body_model_female: str | None = option(None, "The same for women.")
    joint_regressor_extra: str | None = option(
        None, "SPIN's J_regressor_extra.npy, by which nine of SMPL's joints of spin49 are found."
    )
    mean_params: str | None = option(
        None,
        "File of the mean body that the heads start from, see hybrid_hmr; by default the body model's own.",
    )
    start_at_mean: bool = option(
        True,
        "Rotations, shape and camera are differences from a mean body; False: as in the reference, none.",
    )
    skeleton: str = option("cocoplus19", f"Joint set of the joints: {' or '.join(SKELETONS)}.")
    part_layers: int = option(2, "Convolutions of each of the two branches.")
    part_filters: int = option(128, "Channels of each of the two branches.")
    shape_features: int = option(64, "Channels of the features that shape and camera are told from.")
    attention: bool = option(
        True,
        "Gather features where the parts are; False: everywhere alike, to see what the attention is worth.",
    )
    attention_act: Activation = option(Activation.SOFTMAX, "What makes weights of the maps of parts.")
    focal_length: float = option(
        0.0, "Focal length in pixels of the projection, 5000 in SPIN and PARE; 0: weak perspective."
    )
    keypoint_loss_weight: float = option(5.0, "Weight of the error of 2D joints.")
    joints3d_loss_weight: float = option(5.0, "Weight of the error of 3D joints from the hips.")
    pose_loss_weight: float = option(1.0, "Weight of the error of rotation matrices.")
    shape_loss_weight: float = option(0.001, "Weight of the error of shape coefficients.")
    part_loss_weight: float = option(1.0, "Weight of the cross-entropy of the parts' maps.")
    camera_prior_weight: float = option(
        1.0, "Weight of exp(-10 s)^2, which keeps the camera's scale above 0."
    )
    openpose_weight: float = option(0.0, "Weight of OpenPose's joints of spin49 in the loss of 2D joints.")
    loss_scale: float = option(60.0, "Factor of all losses.")
    compile_body: bool = option(True, "Compile the body model with XLA.")
    mixed_precision: bool = option(
        False,
        "Encoder and branches in bfloat16 (their weights in float32); heads, body and losses stay in float32.",
    )

    def check_files(self) -> None:
        """Reads the mean parameters, if a file is named; raises UserError if it is damaged."""
        if self.mean_params:
            from hpe.body.mean_parameters import load_mean_parameters

            load_mean_parameters(self.mean_params)

    def __post_init__(self):
        require_at_least(self, 1, "hrnet_width", "part_layers", "part_filters", "shape_features")
        if self.skeleton not in SKELETONS:
            raise SettingError("skeleton", f"must be {' or '.join(SKELETONS)}.", self.skeleton)
        require_not_negative(self, *_WEIGHTS, "openpose_weight", "loss_scale", "focal_length")
        if not self.loss_scale or not any(getattr(self, name) for name in _WEIGHTS[:5]):
            raise ValueError("every loss weighs 0, so nothing would be learned; give one of them a weight.")
        if self.joint_regressor_extra and self.skeleton != "spin49":
            raise SettingError(
                "joint_regressor_extra", "needs `skeleton=spin49`.", self.joint_regressor_extra
            )
        _ = self.strides

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides of the maps as numbers; empty for the encoder's own choice."""
        try:
            strides = tuple(int(stride) for stride in self.map_strides)
        except ValueError:
            strides = (0,)
        if any(stride < 1 or stride & (stride - 1) for stride in strides) or len(set(strides)) != len(
            strides
        ):
            raise SettingError("map_strides", "must be powers of 2, each once.", ",".join(self.map_strides))
        return strides

    @property
    def learns_parts(self) -> bool:
        """Whether there is a part branch that labels supervise."""
        return self.method is Method.PARE and self.attention and self.part_loss_weight > 0


def name_evidence(config: PareConfig) -> list[str]:
    """Returns what the names of runs tell of their networks."""
    if config.method is Method.BASELINE:
        return ["baseline"]
    name = f"{config.encoder}{config.hrnet_width}" if config.encoder == HRNET else config.encoder
    return [name, *([] if config.attention else ["no_attention"])]


ENTRY = SystemEntry(
    "pare",
    PareConfig,
    ImageInput,
    build_in("hpe.systems.pare", "build_pare"),
    "image",
    aliases={"body_model": "smpl_model_path"},
    defaults={"batch_size": 32, "generator_lr": 5e-4, "num_epochs": 100, "freeze_networks": ("backbone",)},
    tags=name_evidence,
    shown={"loss/keypoint_loss": "2d", "loss/joints3d_loss": "3d", "loss/part_loss": "parts"},
    exports=EXPORTS,
    metrics=(*judged_by.BODIES, *judged_by.REGRESSED, *judged_by.COURSE_BODIES),
)
