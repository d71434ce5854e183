"""One training step: forward, losses, and updates that a non-finite loss cannot spoil.

The step is written for any `tf.distribute` strategy. Every replica computes on its rows of the batch; the counts
of the losses are added up before the gradients are taken, and the gradients before they are clipped and applied,
so that any number of replicas computes what one would have computed from the whole batch. The choice between
applying and skipping an update is made outside of the replicas, which all take the same way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf

from hpe.errors import SettingError
from hpe.networks.randomness import BatchSeed
from hpe.systems.base import MAIN, Losses
from hpe.training import optimization
from hpe.training.config import OptimizationConfig, parse_factors

# Added to the seed per update of an optimizer in a step, so that no two of them share a draw.
_UPDATE_STREAM = 7907


class TrainingStep:
    """Updates what the optimizers of a system name, by one batch.

    Built inside `strategy.scope()`; the variables of the system belong to that strategy.

    Args:
        system: a `hpe.systems.base.Trains`.
        config: rates, their course, clipping, averaging, freezing, weights of losses.
        seed: of the run; all randomness is drawn from (seed, step).
        step: int64 variable that counts finished steps.
        epoch_steps: steps per epoch.
        total_steps: length of the run.
        eager: whether to run step by step instead of compiled.

    Attributes:
        optimizers: the optimizers by name, built, for checkpoints: those of the system, and one for each network
            that is frozen at first.
        average: the moving average of the system's weights, or None.
        bad_steps: int64 variable, how many steps in a row were skipped because something was not finite.
        rate_factor: float32 variable by which all learning rates are multiplied; a plateau lowers it.
        times_traced: how often the step has been traced.

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
        self.rate_factor = tf.Variable(1.0, trainable=False)
        self.times_traced = 0
        self._config, self._seed = config, seed
        self._epoch_steps, self._total_steps = epoch_steps, total_steps
        self._strategy = tf.distribute.get_strategy()
        self._updated = dict(system.optimizers)
        self._factors = parse_factors(config.loss_schedules)
        self._check_schedules()
        self._frozen = self._networks_to_freeze()
        self._freeze_steps = round(config.freeze_epochs * epoch_steps) if self._frozen else 0
        self._groups = self._group_variables()
        self.optimizers = {}
        for name, variables in self._groups.items():
            self.optimizers[name] = _SummedAdam(learning_rate=0.0)  # the rate is set in every step
            self.optimizers[name].build(variables)
        self.average = optimization.WeightAverage(system, config.ema_decay) if config.ema_decay else None
        # No Python control flow depends on tensors: AutoGraph would only cost time, and read sources that may have
        # changed on the disk since they were imported.
        self._run = self._update if eager else tf.function(self._update, autograph=False)

    def __call__(self, batch: Mapping, *, done: int) -> dict[str, tf.Tensor]:
        """Runs one step and returns named scalars, float32 tensors that nobody has waited for yet.

        Args:
            batch: a training batch of `hpe.pipeline` without its texts, with the streams that the system needs; or
                its parts per replica.
            done: finished steps, the value of `step`: to read the variable would be to wait for the device.
        """
        # A tuple: for every frozenset it is given, tf.function would trace the step again.
        return self._run(dict(batch), self._frozen if done < self._freeze_steps else ())

    def _check_schedules(self) -> None:
        """Refuses schedules of losses that this system does not have, rather than to ignore them."""
        minimised = [name for optimizer in self._updated.values() for name in optimizer.loss_names]
        for name in self._factors:
            if name not in minimised:
                raise SettingError(
                    "loss_schedules", f"this run minimises no such loss, only {', '.join(minimised)}.", name
                )

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
        groups = {MAIN: []}
        for variable in self._updated[MAIN].variables:
            # A network that is held first has an optimizer of its own: Adam corrects its moments by how many
            # updates they have seen, which would be off by all those that went without this network.
            groups.setdefault(held.get(id(variable), MAIN), []).append(variable)
        groups |= {name: list(optimizer.variables) for name, optimizer in self._others.items()}
        return {name: variables for name, variables in groups.items() if variables}

    @property
    def _others(self) -> dict:
        """The optimizers with losses of their own."""
        return {name: optimizer for name, optimizer in self._updated.items() if name != MAIN}

    # ---- the step: outside of the replicas ---------------------------------------------------------------

    def _update(self, batch, frozen: tuple[str, ...]):
        self.times_traced += 1
        strategy = self._strategy
        rates = self._set_rates()
        # A batch that makes the loss infinite has already gone into the batch statistics when that is seen.
        state = strategy.run(self._copy_state)
        outputs, scalars, gradients, sound = strategy.run(self._through_networks, args=(batch, frozen))
        finite = self._local(sound)
        for name, optimizer in self._others.items():
            for turn in range(optimizer.updates):
                shown, found, sound = strategy.run(self._beside_networks, args=(outputs, batch, name, turn))
                finite = finite & self._local(sound)
                if turn + 1 < optimizer.updates:
                    self._apply_if(finite, found)
                else:
                    # Together with the main one's: a batch that spoils one of them changes neither. Earlier
                    # turns stay as they are, each of them sound.
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
            own = self._updated[name].learning_rate if name in self._updated else None
            rates[name] = optimization.learning_rate(
                self._config.generator_lr if own is None else own,
                self.step,
                config=self._config,
                epoch_steps=self._epoch_steps,
                total_steps=self._total_steps,
            )
            rates[name] *= self.rate_factor
            optimizer.learning_rate = rates[name]
        return {f"run/learning_rate_{name}": rates[name] for name in self._updated if name in rates}

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

    def _through_networks(self, batch, frozen: tuple[str, ...]):
        """Returns outputs, and what is the same in all replicas: scalars, gradients by optimizer, soundness."""
        system = self.system
        with tf.GradientTape() as tape:
            outputs = system.forward(
                batch[system.input_key], training=True, seed=self._batch_seed(batch), frozen=frozen
            )
            losses = system.losses(outputs, batch)
            total, scalars = self._weigh(losses)
        names = [name for name in self._groups if name not in self._others and name not in frozen]
        found = tape.gradient(total, [self._groups[name] for name in names])
        return outputs, *self._finish(losses.heading, scalars, dict(zip(names, found, strict=True)))

    def _beside_networks(self, outputs, batch, name: str, turn: int):
        """Returns scalars, the gradients of another optimizer and their soundness, the same in all replicas."""
        seed = self._batch_seed(batch).stream(turn * _UPDATE_STREAM)
        with tf.GradientTape() as tape:
            losses = self._updated[name].losses(outputs, self._share_of_turn(batch, name, turn), seed=seed)
            total, scalars = self._weigh(losses)
        return self._finish(losses.heading, scalars, {name: tape.gradient(total, self._groups[name])})

    def _share_of_turn(self, batch, name: str, turn: int) -> dict:
        """Takes the part of the batch's streams that belongs to one of an optimizer's updates in this step."""
        turns, streams = self._updated[name].updates, self.system.needs.streams
        shared = dict(batch)
        for key, value in batch.items():
            if key.partition("/")[0] in streams:
                count = value.shape[1] // turns
                shared[key] = value[:, turn * count : (turn + 1) * count]
        return shared

    def _batch_seed(self, batch) -> BatchSeed:
        pair = tf.stack([tf.constant(self._seed, tf.int32), tf.cast(self.step, tf.int32)])
        replicas, images = self._strategy.num_replicas_in_sync, batch[self.system.input_key].shape[0]
        if replicas == 1:
            return BatchSeed(pair)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return BatchSeed(pair, first=replica * images, samples=replicas * images)

    def _weigh(self, losses: Losses):
        """Returns this replica's share of the weighted sum, and of all that is shown, under its name in the log.

        Shares add up over the replicas to the value of the whole batch.
        """
        means = {**losses.parts, **losses.measured}
        counts = self._summed([tf.stop_gradient(mean.count) for mean in means.values()])
        shares = {name: mean.over(count) for (name, mean), count in zip(means.items(), counts, strict=True)}
        total = tf.zeros(())
        for name, weight in losses.weights.items():
            if name in self._factors:
                points = self._factors[name]
                weight = weight * optimization.factor_at(points, self.step, epoch_steps=self._epoch_steps)
            total += weight * shares[name]
        shown = {
            name if name in losses.measured else f"{losses.heading}/{name}": share
            for name, share in shares.items()
        }
        return total, {**shown, f"{losses.heading}/total": total}

    def _finish(self, heading: str, scalars: dict, gradients: dict):
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
            scalars[f"{heading}/gradient_norm" + ("" if name in self._updated else f"_{name}")] = norm
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


def read_scalars(scalars: Mapping[str, tf.Tensor]) -> dict[str, float]:
    """Reads what a step returned: one read of the device, which waits until all steps so far are done."""
    return dict(zip(scalars, tf.stack([*scalars.values()]).numpy().tolist(), strict=True))


@contextlib.contextmanager
def explaining_memory(batch_size: int) -> Iterator[None]:
    """Says in one line that a step does not fit into memory."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise SettingError(
            "batch_size", "a step does not fit into memory; lower it or `img_size`.", batch_size
        ) from error


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
