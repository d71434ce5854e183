"""One training step: forward, losses, critic, and updates that a non-finite loss cannot spoil."""

from __future__ import annotations

import keras
import tensorflow as tf

from hpe.training.config import LearningRateSchedule, TrainingConfig


class TrainingStep:
    """Updates a system, and its critic if it has one, by one batch.

    Args:
        system: a `hpe.systems.base.System`.
        config: learning rates, seed and whether to compile.
        step: int64 variable that counts finished steps; all randomness is drawn from (seed, step).
        total_steps: length of the run, for learning rates that fall.

    Attributes:
        optimizers: the optimizers by name, built, for checkpoints.
        bad_steps: int64 variable, how many steps in a row were skipped because something was not finite.
    """

    def __init__(self, system, config: TrainingConfig, *, step: tf.Variable, total_steps: int = 1):
        self.system = system
        self.step = step
        self.bad_steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._seed = config.seed
        self._bones = config.do_bone_evaluation
        self.optimizers = {"generator": _adam(config.generator_lr, config, total_steps)}
        self.optimizers["generator"].build(system.trainable_variables)
        if system.adversary is not None:
            self.optimizers["critic"] = _adam(config.critic_lr, config, total_steps)
            self.optimizers["critic"].build(system.adversary.trainable_variables)
        # No Python control flow depends on tensors: AutoGraph would only cost time, and read sources that may have
        # changed on the disk since they were imported.
        self._run = self._update if config.eager else tf.function(self._update, autograph=False)

    def __call__(self, batch: dict, real: dict | None) -> dict[str, tf.Tensor]:
        """Runs one step and returns named scalars.

        Args:
            batch: a training batch of `hpe.pipeline.images`.
            real: mocap frames for the critic, `pose` (N, 72) and `shape` (N, 10), or None without a critic.
        """
        tensors = {name: value for name, value in batch.items() if value.dtype != tf.string}
        return self._run(tensors, real)

    def _update(self, batch, real):
        system, adversary = self.system, self.system.adversary
        seed = tf.stack([tf.constant(self._seed, tf.int32), tf.cast(self.step, tf.int32)])
        # A batch that makes the loss infinite has already gone into the batch statistics when that is seen.
        state = [tf.identity(variable) for variable in system.non_trainable_variables]
        scalars = {}

        with tf.GradientTape() as tape:
            outputs = system.forward(batch["image"], training=True, seed=seed)
            losses = system.losses(outputs, batch)
            total = losses.total
            if adversary is not None:
                adversarial = adversary.generator_losses(outputs)
                total = total + adversarial.total
                scalars.update({f"critic/{name}": value for name, value in adversarial.parts.items()})
        scalars.update({f"generator/{name}": value for name, value in losses.parts.items()})
        scalars["generator/total"] = total
        variables = {"generator": list(system.trainable_variables)}
        gradients = {"generator": tape.gradient(total, variables["generator"])}

        if adversary is not None:
            variables["critic"] = list(adversary.trainable_variables)
            with tf.GradientTape() as tape:
                critic_losses = adversary.critic_losses(outputs, real, seed=seed)
            gradients["critic"] = tape.gradient(critic_losses.total, variables["critic"])
            scalars.update({f"critic/{name}": value for name, value in critic_losses.parts.items()})
            scalars["critic/total"] = critic_losses.total
            if self._bones:
                scalars.update(adversary.measurements(outputs, real, seed=seed))

        finite = tf.reduce_all([tf.math.is_finite(scalars[name]) for name in scalars])
        for group in gradients.values():
            for gradient in group:
                if gradient is not None:
                    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
                    finite = finite & tf.reduce_all(tf.math.is_finite(values))

        def apply():
            for name, optimizer in self.optimizers.items():
                pairs = [
                    (gradient, variable)
                    for gradient, variable in zip(gradients[name], variables[name], strict=True)
                    if gradient is not None
                ]
                optimizer.apply_gradients(pairs)
            self.bad_steps.assign(0)
            return tf.constant(0)

        def skip():
            for variable, value in zip(system.non_trainable_variables, state, strict=True):
                variable.assign(value)
            self.bad_steps.assign_add(1)
            return tf.constant(0)

        tf.cond(finite, apply, skip)
        self.step.assign_add(1)
        scalars["run/bad_steps"] = tf.cast(self.bad_steps, tf.float32)
        return scalars


def _adam(rate: float, config: TrainingConfig, total_steps: int) -> keras.optimizers.Optimizer:
    if config.lr_schedule is LearningRateSchedule.COSINE:
        return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, total_steps))
    return keras.optimizers.Adam(rate)
