"""One training step: forward, losses, critic, and updates that a non-finite loss cannot spoil.

The step is written for any `tf.distribute` strategy. Every replica computes on its rows of the batch; the counts
of the losses are added up before the gradients are taken, and the gradients before they are clipped and applied,
so that any number of replicas computes what one would have computed from the whole batch. The choice between
applying and skipping an update is made outside of the replicas, which all take the same way.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from hpe.errors import SettingError
from hpe.networks.randomness import BatchSeed
from hpe.systems.base import Losses
from hpe.training import schedules
from hpe.training.averaging import WeightAverage
from hpe.training.optimization import OptimizationConfig

# The names of optimizers that every system may have.
_ROLES = ("generator", "critic")
# Added to the seed per turn of the critic, so that no two turns share a draw.
_TURN_STREAM = 7907


class TrainingStep:
    """Updates a system, and its critic if it has one, by one batch.

    Built inside `strategy.scope()`; the variables of the system belong to that strategy.

    Args:
        system: a `hpe.systems.base.System`.
        config: rates, their course, clipping, averaging, freezing, weights of losses.
        seed: of the run; all randomness is drawn from (seed, step).
        step: int64 variable that counts finished steps.
        epoch_steps: steps per epoch.
        total_steps: length of the run.
        eager: whether to run step by step instead of compiled.

    Attributes:
        optimizers: the optimizers by name, built, for checkpoints.
        average: the moving average of the system's weights, or None.
        bad_steps: int64 variable, how many steps in a row were skipped because something was not finite.

    Raises:
        UserError: the configuration names networks or losses that the system does not have.
    """

    def __init__(
        self,
        system,
        config: OptimizationConfig,
        *,
        seed: int,
        step: tf.Variable,
        epoch_steps: int = 1,
        total_steps: int = 1,
        eager: bool = False,
    ):
        self.system = system
        self.step = step
        self.bad_steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._config, self._seed = config, seed
        self._epoch_steps, self._total_steps = epoch_steps, total_steps
        self._strategy = tf.distribute.get_strategy()
        self._factors = schedules.parse_factors(config.loss_schedules)
        self._check_settings()
        self._frozen = self._networks_to_freeze()
        self._freeze_steps = round(config.freeze_epochs * epoch_steps) if self._frozen else 0
        self._groups = self._group_variables()
        self.optimizers = {}
        for name, variables in self._groups.items():
            self.optimizers[name] = _SummedAdam(learning_rate=0.0)  # the rate is set in every step
            self.optimizers[name].build(variables)
        self.average = WeightAverage(system, config.ema_decay) if config.ema_decay else None
        # No Python control flow depends on tensors: AutoGraph would only cost time, and read sources that may have
        # changed on the disk since they were imported.
        self._run = self._update if eager else tf.function(self._update, autograph=False)

    def __call__(self, batch: Mapping, real: Mapping | None, *, done: int) -> dict[str, tf.Tensor]:
        """Runs one step and returns named scalars, float32 tensors that nobody has waited for yet.

        Args:
            batch: a training batch of `hpe.pipeline.images`, or its parts per replica.
            real: mocap frames for the critic, `pose` (N, 72) and `shape` (N, 10), or None without a critic;
                N = `real_examples_per_image` times `critic_steps` per image, those of one image together.
            done: finished steps, the value of `step`: to read the variable would be to wait for the device.
        """
        tensors = {name: value for name, value in batch.items() if name not in ("name", "valid")}
        # A tuple: for every frozenset it is given, tf.function would trace the step again.
        return self._run(tensors, real, self._frozen if done < self._freeze_steps else ())

    def _check_settings(self) -> None:
        """Refuses settings of what this system does not have, rather than to ignore them."""
        adversary = self.system.adversary
        minimised = [*self.system.loss_names, *(adversary.loss_names if adversary is not None else ())]
        for name in self._factors:
            if name not in minimised:
                raise SettingError(
                    "loss_schedules", f"this run minimises no such loss, only {', '.join(minimised)}.", name
                )
        if adversary is None and self._config.critic_steps > 1:
            raise SettingError("critic_steps", "this run has no critic.", self._config.critic_steps)

    # ---- what is updated ---------------------------------------------------------------------------------

    def _networks_to_freeze(self) -> tuple[str, ...]:
        if not self._config.freeze_epochs:
            return ()
        known = self.system.networks
        for name in self._config.freeze_networks:
            if name not in known:
                raise SettingError(
                    "freeze_networks", f"the system has the networks {', '.join(known)}.", name
                )
        return tuple(self._config.freeze_networks)

    def _group_variables(self) -> dict[str, list]:
        """Returns the trainable variables by optimizer."""
        held = {
            id(variable): name
            for name in self._frozen
            for variable in self.system.networks[name].trainable_variables
        }
        groups = {"generator": []}
        for variable in self.system.trainable_variables:
            # A network that is held first has an optimizer of its own: Adam corrects its moments by how many
            # updates they have seen, which would be off by all those that went without this network.
            groups.setdefault(held.get(id(variable), "generator"), []).append(variable)
        if self.system.adversary is not None:
            groups["critic"] = list(self.system.adversary.trainable_variables)
        return {name: variables for name, variables in groups.items() if variables}

    # ---- the step: outside of the replicas ---------------------------------------------------------------

    def _update(self, batch, real, frozen: tuple[str, ...]):
        strategy = self._strategy
        rates = self._set_rates()
        # A batch that makes the loss infinite has already gone into the batch statistics when that is seen.
        state = strategy.run(self._copy_state)
        outputs, scalars, gradients, sound = strategy.run(self._generator, args=(batch, frozen))
        finite = self._local(sound)
        turns = self._config.critic_steps if self.system.adversary is not None else 0
        for turn in range(turns):
            shown, found, sound = strategy.run(self._critic, args=(outputs, batch, real, turn))
            finite = finite & self._local(sound)
            if turn + 1 < turns:
                self._apply_if(finite, found)
            else:
                # Together with the generator's: a batch that spoils one of them changes neither. Earlier turns
                # stay as they are, each of them sound.
                gradients, scalars = {**gradients, **found}, {**scalars, **shown}

        self._apply_if(finite, gradients)
        if self.average is not None:
            _if(finite, self.average.update)
        _if(~finite, lambda: strategy.run(self._set_state, args=(state,)))
        self.bad_steps.assign(tf.where(finite, tf.zeros_like(self.bad_steps), self.bad_steps + 1))
        self.step.assign_add(1)
        scalars = {name: self._local(value) for name, value in scalars.items()}
        return {**scalars, **rates, "run/bad_steps": tf.cast(self.bad_steps, tf.float32)}

    def _set_rates(self) -> dict[str, tf.Tensor]:
        rates = {}
        for name, optimizer in self.optimizers.items():
            rates[name] = schedules.learning_rate(
                self._config.critic_lr if name == "critic" else self._config.generator_lr,
                self.step,
                config=self._config,
                epoch_steps=self._epoch_steps,
                total_steps=self._total_steps,
            )
            optimizer.learning_rate = rates[name]
        return {f"run/learning_rate_{name}": rates[name] for name in _ROLES if name in rates}

    def _apply_if(self, finite, gradients: Mapping) -> None:
        def apply(gradients):
            for name, values in gradients.items():
                pairs = zip(values, self._groups[name], strict=True)
                self.optimizers[name].apply_gradients([pair for pair in pairs if pair[0] is not None])

        _if(finite, lambda: self._strategy.run(apply, args=(gradients,)))

    def _local(self, value):
        """Returns what all replicas have in common."""
        return self._strategy.experimental_local_results(value)[0]

    # ---- the step: inside each replica -------------------------------------------------------------------

    def _generator(self, batch, frozen: tuple[str, ...]):
        """Returns outputs, and what is the same in all replicas: scalars, gradients by optimizer, soundness."""
        system = self.system
        with tf.GradientTape() as tape:
            outputs = system.forward(
                batch[system.input_key], training=True, seed=self._batch_seed(batch), frozen=frozen
            )
            total, scalars = self._weigh(system.losses(outputs, batch), "generator")
            if system.adversary is not None:
                term, shown = self._weigh(system.adversary.generator_losses(outputs), "critic")
                total, scalars = total + term, {**scalars, **shown}
        scalars["generator/total"] = total
        names = [name for name in self._groups if name != "critic" and name not in frozen]
        found = tape.gradient(total, [self._groups[name] for name in names])
        return outputs, *self._finish(scalars, dict(zip(names, found, strict=True)))

    def _critic(self, outputs, batch, real, turn: int):
        """Returns scalars, the critic's gradients and their soundness, the same in all replicas."""
        adversary = self.system.adversary
        seed = self._batch_seed(batch).stream(turn * _TURN_STREAM)
        real = {name: self._frames_of_turn(value, turn) for name, value in real.items()}
        with tf.GradientTape() as tape:
            total, scalars = self._weigh(adversary.critic_losses(outputs, real, seed=seed), "critic")
        scalars["critic/total"] = total
        return self._finish(scalars, {"critic": tape.gradient(total, self._groups["critic"])})

    def _frames_of_turn(self, frames, turn: int):
        """Takes the mocap frames of one turn; the frames of one image stand together, turn by turn."""
        turns, width = self._config.critic_steps, frames.shape[-1]
        per_turn = self.system.adversary.real_examples_per_image()
        return tf.reshape(tf.reshape(frames, (-1, turns, per_turn, width))[:, turn], (-1, width))

    def _batch_seed(self, batch) -> BatchSeed:
        pair = tf.stack([tf.constant(self._seed, tf.int32), tf.cast(self.step, tf.int32)])
        replicas, images = self._strategy.num_replicas_in_sync, batch[self.system.input_key].shape[0]
        if replicas == 1:
            return BatchSeed(pair)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return BatchSeed(pair, first=replica * images, samples=replicas * images)

    def _weigh(self, losses: Losses, prefix: str):
        """Returns this replica's share of the weighted sum, and of all that is shown.

        Shares add up over the replicas to the value of the whole batch.
        """
        means = {**losses.parts, **losses.measured}
        counts = self._summed([tf.stop_gradient(mean.count) for mean in means.values()])
        shares = {name: mean.over(count) for (name, mean), count in zip(means.items(), counts, strict=True)}
        total = tf.zeros(())
        for name, weight in losses.weights.items():
            if name in self._factors:
                points = self._factors[name]
                weight = weight * schedules.factor_at(points, self.step, epoch_steps=self._epoch_steps)
            total += weight * shares[name]
        shown = {name if name in losses.measured else f"{prefix}/{name}": shares[name] for name in shares}
        return total, shown

    def _finish(self, scalars: dict, gradients: dict):
        """Adds up scalars and gradients over the replicas, clips the gradients and says whether all is finite."""
        scalars = dict(zip(scalars, self._summed([*scalars.values()]), strict=True))
        finite = tf.reduce_all(tf.math.is_finite(tf.stack([*scalars.values()])))
        clip = self._config.clip_norm
        finished = {}
        for name, values in gradients.items():
            present = [tf.convert_to_tensor(value) for value in values if value is not None]
            present = self._summed(present)
            # Not finite exactly where a gradient is not, short of gradients that are beyond all sense.
            norm = tf.linalg.global_norm(present)
            finite &= tf.math.is_finite(norm)
            if clip:
                present, _ = tf.clip_by_global_norm(present, clip, use_norm=norm)
            left = iter(present)
            finished[name] = [None if value is None else next(left) for value in values]
            owner, extra = (name, "") if name in _ROLES else ("generator", f"_{name}")
            scalars[f"{owner}/gradient_norm{extra}"] = norm
        return scalars, finished, finite

    def _summed(self, values: list) -> list:
        if self._strategy.num_replicas_in_sync == 1 or not values:
            return values
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    def _copy_state(self) -> list:
        return [tf.identity(variable) for variable in self.system.non_trainable_variables]

    def _set_state(self, state: list) -> None:
        for variable, value in zip(self.system.non_trainable_variables, state, strict=True):
            variable.assign(value)


class _SummedAdam(keras.optimizers.Adam):
    """Adam for gradients that have been added up over the replicas already."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def _if(condition, act) -> None:
    """Acts inside a graph where a condition holds."""

    def then():
        act()
        return tf.constant(0)

    tf.cond(condition, then, lambda: tf.constant(0))
