"""What the trainer, the evaluator and the predictor know of a system: two small protocols.

A system joins networks, losses and targets, and knows how to read its own output. It holds no loop, no file and
no flag; everything it computes is `keras.ops`, so that it can be traced and compiled by whoever calls it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hpe.losses.means import Mean
from hpe.networks.randomness import BatchSeed
from hpe.systems.prediction import Prediction

Tensor = Any
Batch = Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Losses:
    """The named means of a batch and the weights with which they are minimised.

    Parts stay apart, and each in the two halves of a `Mean`, for the trainer: it divides by the counts of the
    whole batch where this device holds a share of it, and it may change a weight in the course of a run.

    Attributes:
        parts: means by name, such as `kpr_loss`.
        weights: weight of each part that is minimised; parts that are only shown have none.
        measured: further means that a log shows, under their full names.
    """

    parts: Mapping[str, Mean]
    weights: Mapping[str, float]
    measured: Mapping[str, Mean] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        unknown = sorted(self.weights.keys() - self.parts.keys())
        if unknown:
            raise ValueError(f"weights of parts that there are not: {', '.join(unknown)}")

    def values(self) -> dict[str, Tensor]:
        """Returns the value of every part over this batch alone."""
        return {name: mean.value for name, mean in self.parts.items()}

    @property
    def total(self) -> Tensor:
        """The weighted sum over this batch alone, scalar."""
        return sum(weight * self.parts[name].value for name, weight in self.weights.items())


class Adversary(Protocol):
    """The critic's side of a system that is trained against one."""

    networks: Mapping[str, Any]

    @property
    def loss_names(self) -> Sequence[str]:
        """Names of the parts that are minimised, of the generator's term and of the critic's."""
        ...

    @property
    def trainable_variables(self) -> Sequence[Any]:
        """Variables that the critic's optimizer updates."""
        ...

    def real_examples_per_image(self) -> int:
        """How many real examples (mocap frames) one critic step takes per image of the batch."""
        ...

    def generator_losses(self, outputs: Batch) -> Losses:
        """The term that the generator adds to its own losses."""
        ...

    def critic_losses(self, outputs: Batch, real: Batch, *, seed: BatchSeed) -> Losses:
        """What the critic minimises; the generator's outputs are taken as constants.

        Args:
            outputs: of the system's `forward`.
            real: B times `real_examples_per_image` examples, those of one image next to each other.
            seed: from which all randomness is drawn.
        """
        ...


class System(Protocol):
    """One published method: networks, losses, and how to read the output.

    Attributes:
        name: its name in the registry.
        input_key: what of a batch its networks take: `image`, crops (B, S, S, 3) uint8 RGB, or `joints2d`,
            2D joints (B, J, 2) float32.
        input_shape: shape of one input, (S, S, 3) or (J, 2).
        skeleton: name of the joint set of its 2D and 3D joints; images come with their joints in it.
        body_models: names of the body models whose pose and shape it predicts, empty without any; body
            parameters of other models in records are no truth for it.
        uses_silhouettes: whether its losses look at masks; if not, training spares the time to decode them.
        networks: every network by the name it has in checkpoints; learned means included.
        adversary: the critic's side, or None.
    """

    name: str
    input_key: str
    input_shape: tuple[int, ...]
    skeleton: str
    body_models: Sequence[str]
    uses_silhouettes: bool
    networks: Mapping[str, Any]
    adversary: Adversary | None

    @property
    def loss_names(self) -> Sequence[str]:
        """Names of the parts that `losses` minimises."""
        ...

    @property
    def trainable_variables(self) -> Sequence[Any]:
        """Variables that the main optimizer updates."""
        ...

    @property
    def non_trainable_variables(self) -> Sequence[Any]:
        """State that a forward pass updates, such as batch normalisation statistics."""
        ...

    def adapt(self, statistics: Mapping[str, Any]) -> None:
        """Takes what is to be known of the training data before the first step of a new run.

        What it keeps lies in weights of its networks, so that it travels with the checkpoint.

        Args:
            statistics: NumPy arrays by name, of the source that the run is fed by; images have none.
        """
        ...

    def forward(
        self,
        inputs: Tensor,
        *,
        training: bool,
        seed: BatchSeed | None = None,
        frozen: Sequence[str] = (),
    ) -> dict[str, Tensor]:
        """Runs the networks.

        Args:
            inputs: what `input_key` says of a batch.
            training: whether dropout is active and batch statistics are used.
            seed: from which all randomness of this pass is drawn; needed when training.
            frozen: names of networks that run as in inference; they get no gradient and keep their state.
        """
        ...

    def losses(self, outputs: Batch, batch: Batch) -> Losses:
        """Compares outputs with the truth in a batch of `hpe.pipeline`."""
        ...

    def infer(self, inputs: Tensor) -> dict[str, Tensor]:
        """Runs the networks without training and returns the tensors that `to_prediction` reads."""
        ...

    def true_vertices(self, pose: Any, shape: Any) -> Any:
        """Returns the vertices (B, V, 3), NumPy, of true body parameters; systems without a mesh lack it."""
        ...

    def to_prediction(self, inferred: Mapping[str, Any]) -> Prediction:
        """Turns the tensors of `infer` into a Prediction of NumPy arrays."""
        ...
