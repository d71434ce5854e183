"""Settings of the hybrid HMR, see `hpe.systems.hybrid_hmr`."""

from __future__ import annotations

import dataclasses
import enum

from hpe.errors import SettingError
from hpe.options import option, require_at_least, require_not_negative
from hpe.systems import judged_by
from hpe.systems.inputs import ImageInput
from hpe.systems.registry import EXPORTS, SystemEntry, build_in

_NOT_NEGATIVE = (
    "critic_lr",
    "kpr_loss_weight",
    "mr_loss_weight",
    "critic_loss_weight",
    "gradient_penalty_weight",
    "body_loss_weight",
    "joints3d_loss_weight",
)


class MocapShapes(enum.Enum):
    """Where the critic's real shapes come from."""

    AUTO = "auto"
    FILES = "files"
    NORMAL = "normal"


@dataclasses.dataclass(frozen=True)
class HybridHmrConfig:
    """Networks and loss weights of the hybrid HMR; the names are those of the command line."""

    encoder: str = option(
        "ResNet50",
        "Encoder: any keras.applications backbone by name, `movenet_lightning` or `movenet_thunder` (for images "
        "of 192 and 256 pixels), or `small`.",
    )
    encoder_weights: str = option(
        "pretrained",
        "Encoder weights: pretrained (ImageNet's, MoveNet's, or for `small` those of synthetic people), imagenet, "
        "synthetic, none, or a weights file.",
    )
    encoder_bn_momentum: float | None = option(
        None, "Momentum of the encoder's batch normalisation statistics; by default the backbone's own."
    )
    smpl_model_path: str = option(
        "default", "Body model: `default` (free, in the package) or a file in the SMPL layout (.pkl, .npz)."
    )
    mean_params: str | None = option(
        None,
        "File of the mean pose and shape that the regressor starts from, in the layout of SMPL's "
        "neutral_smpl_mean_params.h5 or smpl_mean_params.npz; by default the body model's own.",
    )
    num_stage: int = option(3, "Refinement stages of the iterative regressor.")
    dropout: float = option(0.5, "Dropout rate in the regressor.")
    use_kpr_loss: bool = option(True, "Use the keypoint reprojection loss.")
    use_mesh_repro_loss: bool = option(False, "Use the mesh reprojection (silhouette) loss.")
    encoder_only: bool = option(False, "Train without the critic.")
    use_gradient_penalty: bool = option(True, "Hold the critic 1-Lipschitz by a gradient penalty.")
    critic_use_rotations: bool = option(True, "Give the critic its rotation branch.")
    kpr_loss_weight: float = option(60.0, "Weight of the keypoint reprojection loss.")
    mr_loss_weight: float = option(
        0.5, "Weight of the mesh reprojection loss, which is in pixels of a 224-pixel crop."
    )
    critic_lr: float = option(5e-4, "Learning rate of the critic (Adam).")
    critic_steps: int = option(1, "Updates of the critic per step, each with mocap frames of its own.")
    critic_loss_weight: float = option(0.3, "Weight of the critic's term in the generator's loss.")
    gradient_penalty_weight: float = option(10.0, "Weight of the gradient penalty in the critic's loss.")
    mocap_shapes: MocapShapes = option(
        MocapShapes.AUTO,
        "Real shapes of the critic: from the mocap files, drawn from the unit normal distribution, or auto: "
        "files for SMPL, whose coefficients they hold, and normal for every other body.",
    )
    compile_body: bool = option(
        True, "Compile the body model and the distances of the silhouette loss with XLA."
    )
    mixed_precision: bool = option(
        False, "Encoder in bfloat16 (its weights in float32); regressor, body and losses stay in float32."
    )
    do_bone_evaluation: bool = option(True, "Log the total bone length of predicted and mocap bodies.")
    body_loss_weight: float = option(30.0, "Weight of rotation and shape errors where a sample has them.")
    joints3d_loss_weight: float = option(30.0, "Weight of the 3D joint error where a sample has 3D joints.")

    def check_files(self) -> None:
        """Reads the mean parameters, if a file is named; raises UserError if it is damaged."""
        if self.mean_params:
            from hpe.body.mean_parameters import load_mean_parameters

            load_mean_parameters(self.mean_params)

    def __post_init__(self):
        require_at_least(self, 1, "num_stage", "critic_steps")
        if not 0 <= self.dropout < 1:
            raise SettingError("dropout", "must be in [0, 1).", self.dropout)
        momentum = self.encoder_bn_momentum
        if momentum is not None and not 0 <= momentum < 1:
            raise SettingError("encoder_bn_momentum", "must be in [0, 1).", momentum)
        if self.encoder_only and self.critic_steps > 1:
            raise SettingError(
                "critic_steps", "there is no critic with `encoder_only`; leave one out.", self.critic_steps
            )
        require_not_negative(self, *_NOT_NEGATIVE)
        if not any(self._generator_weights()):
            raise ValueError(
                "every loss is off or weighs 0, so nothing would be learned; switch on `use_kpr_loss`, "
                "`use_mesh_repro_loss` or the critic (`encoder_only=False`), or give `body_loss_weight` "
                "or `joints3d_loss_weight` a weight."
            )

    def _generator_weights(self) -> tuple[float, ...]:
        return (
            self.use_kpr_loss * self.kpr_loss_weight,
            self.use_mesh_repro_loss * self.mr_loss_weight,
            (not self.encoder_only) * self.critic_loss_weight,
            self.body_loss_weight,
            self.joints3d_loss_weight,
        )


def name_evidence(config: HybridHmrConfig) -> list[str]:
    """Returns what the names of runs tell of their losses."""
    on = {
        "kp": config.use_kpr_loss,
        "mr": config.use_mesh_repro_loss,
        "critic": not config.encoder_only,
    }
    return [tag for tag, value in on.items() if value]


ENTRY = SystemEntry(
    "hybrid_hmr",
    HybridHmrConfig,
    ImageInput,
    build_in("hpe.systems.hybrid_hmr", "build_hybrid_hmr"),
    "image",
    # The other programs' name for the first, the original's for the second.
    aliases={"body_model": "smpl_model_path", "n_critic": "critic_steps"},
    tags=name_evidence,
    shown={"loss/kpr_loss": "kpr", "loss/mr_loss": "mr", "critic/total": "critic"},
    exports=EXPORTS,
    metrics=judged_by.BODIES,
)
