"""Systems: networks, losses, targets and the reading of outputs, one published method each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from hpe.systems.hrnet import Hrnet, HrnetConfig, build_hrnet_system, hrnet_coordinates
from hpe.systems.hybrid_hmr import HybridHmr, HybridHmrConfig, build_hybrid_hmr
from hpe.systems.lifter import LifterConfig, LiftingSystem, build_lifter, lifter_coordinates


@dataclasses.dataclass(frozen=True)
class SystemEntry:
    """How to configure and build a system by its name.

    Attributes:
        config: the dataclass of its networks and losses.
        build: takes that, the settings of the pipeline that feeds it, and the keywords `build_critic` (False leaves
            out what only training needs) and `pretrained` (False starts from random weights, because a checkpoint
            replaces them); returns the System.
        input_key: of the System.
        defaults: what its runs are trained with unless flags say otherwise, by the name of the flag.
        aliases: other names of its flags.
        coordinates: takes the settings of the system and of the pipeline and says in words, by network, which
            joints in which frame its weights are for; the same shapes may hold weights for others. Networks that
            know of no joints are absent.
    """

    config: type
    build: Callable
    input_key: str
    defaults: Mapping[str, object] = dataclasses.field(default_factory=dict)
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    coordinates: Callable[[object, object], Mapping[str, str]] = lambda model, pipeline: {}


SYSTEMS = {
    HybridHmr.name: SystemEntry(
        HybridHmrConfig,
        build_hybrid_hmr,
        HybridHmr.input_key,
        # The other programs' name for it.
        aliases={"body_model": "smpl_model_path"},
    ),
    # Crops as the reference has them for MPII, with a uniform scale between the ends of its own.
    Hrnet.name: SystemEntry(
        HrnetConfig,
        build_hrnet_system,
        Hrnet.input_key,
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
    ),
    LiftingSystem.name: SystemEntry(
        LifterConfig,
        build_lifter,
        LiftingSystem.input_key,
        defaults={
            "datasets": ("h36m_train",),
            "val_datasets": ("h36m_val",),
            "batch_size": 1024,
            "num_epochs": 36,
            "generator_lr": 1.5e-3,
            "lr_schedule": "cosine",
            "warmup_epochs": 1.0,
            "ema_decay": 0.999,
            "freeze_networks": ("lifter",),
        },
        coordinates=lifter_coordinates,
    ),
}
