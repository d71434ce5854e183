"""What the rest of the house knows of a system: two small protocols, one to predict and one to train.

A system joins networks, losses and targets, and knows how to read its own output. It holds no loop, no file and
no flag; everything it computes is `keras.ops`, so that it can be traced and compiled by whoever calls it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hpe.fields import Needs
from hpe.losses.means import Mean
from hpe.networks.randomness import BatchSeed
from hpe.systems.prediction import Prediction

Tensor = Any
Batch = Mapping[str, Tensor]

# The optimizer of what every system has: the networks that predict.
MAIN = "main"


@dataclasses.dataclass(frozen=True)
class Losses:
    """The named means of a batch and the weights with which they are minimised.

    Parts stay apart, and each in the two halves of a `Mean`, for the trainer: it divides by the counts of the
    whole batch where this device holds a share of it, and it may change a weight in the course of a run.

    Attributes:
        parts: means by name, such as `kpr_loss`.
        weights: weight of each part that is minimised; parts that are only shown have none.
        measured: further means that a log shows, under their full names.
        heading: under which a log shows the parts and their weighted sum: `loss/kpr_loss`, `loss/total`.
    """

    parts: Mapping[str, Mean]
    weights: Mapping[str, float]
    measured: Mapping[str, Mean] = dataclasses.field(default_factory=dict)
    heading: str = "loss"

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


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Variables that are updated together, and what for.

    Attributes:
        variables: trainable variables.
        loss_names: names of the parts that are minimised by them.
        losses: takes the outputs of `Trains.forward`, as constants, the batch and a `BatchSeed` by the keyword
            `seed`, and returns Losses; None for those of `Trains.losses`, whose gradients reach the networks.
        updates: how often they are updated per step, each time by a share of their own of the batch's streams.
        learning_rate: the highest one; None for that of the run.
    """

    variables: Sequence[Any]
    loss_names: Sequence[str]
    losses: Callable[..., Losses] | None = None
    updates: int = 1
    learning_rate: float | None = None


class Predicts(Protocol):
    """What prediction needs of a system.

    Attributes:
        name: its name in the registry.
        input_key: what of a batch its networks take: `image`, crops (B, S, S, 3) uint8 RGB, or `joints2d`,
            2D joints (B, J, 2) float32.
        input_shape: shape of one input, (S, S, 3) or (J, 2).
        skeleton: name of the joint set that it predicts.
        body_models: names of the body models whose pose and shape it predicts, empty without any.
        networks: every network that predicts, by the name it has in checkpoints; learned means included.
    """

    name: str
    input_key: str
    input_shape: tuple[int, ...]
    skeleton: str
    body_models: Sequence[str]
    networks: Mapping[str, Any]

    def infer(self, inputs: Tensor) -> dict[str, Tensor]:
        """Runs the networks without training and returns the tensors that `to_prediction` reads."""
        ...

    def to_prediction(self, inferred: Mapping[str, Any]) -> Prediction:
        """Turns the tensors of `infer` into a Prediction of NumPy arrays."""
        ...

    def true_vertices(self, pose: Any, shape: Any, models: Any = None) -> Any:
        """Returns the vertices (B, V, 3), NumPy, of true body parameters; systems without a mesh lack it.

        Args:
            pose: (B, 72) axis-angle.
            shape: (B, 10).
            models: (B,) names of the bodies that they are of, bytes; given to systems of several `body_models`
                alone.
        """
        ...


class Trains(Predicts, Protocol):
    """What training needs of a system besides.

    Attributes:
        needs: the fields of a batch that its losses read, its joint sets, and further streams.
        optimizers: what is updated, by name; MAIN comes first and minimises `losses`.
        training_networks: networks that only training needs, such as a critic, by the name in checkpoints.
        non_trainable_variables: state that a forward pass updates, such as batch normalisation statistics.
    """

    needs: Needs
    optimizers: Mapping[str, Optimizer]
    training_networks: Mapping[str, Any]
    non_trainable_variables: Sequence[Any]

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
        """Compares the outputs of `forward` with the truth in a batch, see docs/fields.md.

        A stream that the system needs lies in the batch as `<stream>/<key>`, (B, n, ...), n of it for each sample.
        """
        ...
