"""The training loop: a run from its first step, or from its last checkpoint, to its end."""

from __future__ import annotations

import contextlib
import dataclasses

import tensorflow as tf

from hpe import systems
from hpe.errors import UserError
from hpe.evaluation.judging import Evaluation
from hpe.networks.randomness import initial_weights
from hpe.runs import RunDirectory
from hpe.runs.checkpoints import latest_checkpoint
from hpe.runs.initialization import describe, initialize
from hpe.training.config import TrainingConfig
from hpe.training.data import RunLength, contents, open_source, require_same_data, training_batches
from hpe.training.distribution import Distribution
from hpe.training.log import NoLog, RunLog, StepTimer
from hpe.training.settings import RunConfig, write_config
from hpe.training.signals import Signals
from hpe.training.state import TrainingState
from hpe.training.step import TrainingStep, explaining_memory, read_scalars
from hpe.training.testing import open_test
from hpe.training.validation import Evaluate, Validation, check_validated, open_judge
from hpe.visualization.panels import batch_picture

# Samples of a batch whose predictions are drawn into the log.
_PANELS = 4


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        step: number of finished steps.
        interrupted: name of the signal that ended it early, or that another worker had one; else None.
        evaluation: the last validation, or None if there was none.
        was_finished: whether it was resumed with no step left to do.
        stopped_early: why the run ended before its last step by early stopping, in words, or None.
        best: the best value of the setting `keep_best_metric` and its step, or None.
    """

    step: int
    interrupted: str | None
    evaluation: Evaluation | None
    was_finished: bool = False
    stopped_early: str | None = None
    best: tuple[float, int] | None = None


def train(
    config: RunConfig,
    run: RunDirectory,
    *,
    distribution: Distribution | None = None,
    resume: bool = False,
    evaluate: Evaluate | None = None,
    show_progress: bool = True,
) -> TrainingResult:
    """Trains a system until its epochs or steps are done, it stops improving, or a signal asks it to stop.

    First weights are a function of the seed; data order, augmentation, dropout and the critic's interpolation are
    functions of (seed, step), so a run that is killed and resumed ends where an undisturbed one ends. To the last
    bit it does so where kernels are deterministic, which is a switch of the process:
    `tf.config.experimental.enable_op_determinism`. The program `train` throws it for the setting `deterministic`;
    this function changes nothing outside of the run.

    Nothing is read from the device but in steps that log, so that it need not wait for the host. The number of
    steps in a row that were skipped is therefore compared with `max_bad_steps` when it is logged.

    Args:
        config: the run's settings; `config.training.seed` fixes all randomness.
        run: where everything is written.
        distribution: the devices; by default made from `config.training`, which for several workers has to happen
            before TensorFlow computes anything. Only the chief among the workers validates and writes.
        resume: go on from the newest checkpoint of `run`; a run that was killed before its first one starts
            over. A run without steps left is validated.
        evaluate: validates a predictor, in the place of judging it on the setting `val_datasets`.
        show_progress: draw a progress bar on stderr.

    Raises:
        UserError: the data, the disk, the checkpoint or another worker is at fault, another process trains this
            run, or the loss has stopped being finite.
    """
    config = dataclasses.replace(config, training=config.training.shortened())
    training = config.training
    distribution = distribution or Distribution(training)
    with contextlib.ExitStack() as stack:
        if distribution.is_chief:  # the others write nothing
            stack.enter_context(run.writing())
        checkpoint = latest_checkpoint(run.checkpoints) if resume else None

        # ---- data: what is wrong with it is said before a network is built -----------------------------------
        if checkpoint is None:
            config.check_files()
        source = open_source(config, training.datasets)
        length = RunLength.of(source, training)
        if checkpoint is not None:
            require_same_data(run, source)
        if distribution.is_chief:
            rows = training.batch_size // distribution.replicas
            evaluate = evaluate or open_judge(config, batch_size=rows)
            check_validated(config, validated=evaluate is not None)
            test = open_test(config, run, batch_size=rows)

        # ---- system ------------------------------------------------------------------------------------------
        state = None
        stack.enter_context(distribution.explaining_lost_workers(lambda: _consequences(run, state)))
        with distribution.scope(), initial_weights(training.seed):
            system = config.build_system(pretrained=checkpoint is None)
        distribution.synchronize_batch_norm(system.networks)
        if checkpoint is None:
            system.adapt(source.statistics())
            if training.init_from is not None:
                taken = initialize(
                    system,
                    training.init_from,
                    networks=training.init_networks,
                    coordinates=config.coordinates,
                )
                distribution.tell(describe(taken, training.init_from))

        # ---- step, from the start or from a checkpoint -------------------------------------------------------
        # A counter of each worker's own: it is read by whoever asks, without the others.
        counter = tf.Variable(0, dtype=tf.int64, trainable=False)
        with distribution.scope():  # averages of weights start at the weights that there are now
            step = TrainingStep(
                system,
                config.optimization,
                seed=training.seed,
                step=counter,
                epoch_steps=length.epoch_steps,
                total_steps=length.total_steps,
                eager=training.eager,
            )
        state = distribution.keep(TrainingState(step, run, keep=training.keep_checkpoints))
        if checkpoint is not None:
            state.restore(checkpoint)
        elif resume:
            distribution.tell(
                f"{run.path}: was killed before its first checkpoint; starts over at step 0 with the same seed"
            )
        distribution.require_same_step(state.done, run.checkpoints)
        batches = training_batches(config, source, system.needs, distribution, start_step=state.done)

        # ---- what it tells: only now, so that a mistake in a setting leaves no run behind ---------------------
        signals = stack.enter_context(Signals())
        timer = StepTimer(training.batch_size, unit=source.unit)
        log, validation = NoLog(), None
        if distribution.is_chief:
            write_config(run, config, data=contents(source))
            shown = systems.get(config.system).shown
            log = RunLog(run, length, first_step=state.done, show_progress=show_progress, shown=shown)
            stack.enter_context(log)
            validation = Validation(config, run, state, length, log, evaluate)
            validation.catch_up(signals)
        _lower_rates(step, config, validation, distribution)

        # ---- loop --------------------------------------------------------------------------------------------
        first_step = state.done
        finished, interrupted = _agree(state, length, validation, signals, distribution)
        was_finished = finished
        if not finished and not interrupted:
            log.starting()
        while not finished and not interrupted:
            with timer.waiting():
                batch = next(batches)
            with timer.computing(), explaining_memory(training.batch_size):
                scalars = step(distribution.split(batch), done=state.done)
            state.done += 1
            log.advance()
            if state.done == first_step + 1:
                timer.reset()  # the first step is mostly compilation

            if length.is_due(state.done, training.log_every):
                with timer.reading(), explaining_memory(training.batch_size):
                    values = read_scalars(scalars)
                log.scalars(values | timer.lap(), state.done)
                _require_sound(values, run, state.done, training)
            if distribution.is_chief:
                if state.done % training.log_img_step == 0:
                    drawn = {name: value[:_PANELS] for name, value in batch.items()}
                    with state.averaged():
                        prediction = state.predictor(drawn[system.input_key])
                    log.picture(batch_picture(prediction, drawn), state.done)
                # Before validation, which may take long and may be left.
                if length.is_due(state.done, training.checkpoint_steps):
                    state.save()
                if validation.is_due():
                    validation.run(signals)
            _lower_rates(step, config, validation, distribution)
            finished, interrupted = _agree(state, length, validation, signals, distribution)

        # ---- end ---------------------------------------------------------------------------------------------
        if distribution.is_chief:
            if was_finished:
                distribution.tell(
                    f"{run.path}: had no step left: it was finished at step {state.done}; more epochs or steps "
                    "would go on from there"
                )
                validation.measure(signals)
            if state.done > state.saved:
                state.save()
            if test is not None and not interrupted:
                with state.averaged():
                    test(state.predictor, state.done)
        distribution.any(False)  # nobody leaves before the chief has written everything
        if interrupted:
            interrupted = signals.received.name if signals.received else "a signal to another worker"
        return TrainingResult(
            state.done,
            interrupted or None,
            validation.evaluation if validation else None,
            was_finished,
            validation.verdict if validation and state.done < length.total_steps else None,
            validation.best if validation else None,
        )


def _agree(state, length, validation, signals, distribution) -> list[bool]:
    """Returns whether the run is finished and whether it is interrupted, the same on all workers."""
    stopped = validation is not None and validation.verdict is not None
    return distribution.any(stopped or state.done >= length.total_steps, signals.received is not None)


def _lower_rates(step: TrainingStep, config: RunConfig, validation, distribution: Distribution) -> None:
    """Lets all workers learn at the rates that the chief's validations say."""
    if config.optimization.lr_plateau_metric is not None:
        step.rate_factor.assign(distribution.of_chief(validation.rate_factor if validation else 0.0))


def _require_sound(values: dict[str, float], run: RunDirectory, done: int, training: TrainingConfig) -> None:
    """Raises UserError if too many of the last steps were skipped because something was not finite."""
    bad_steps = int(values["run/bad_steps"])
    if bad_steps >= training.max_bad_steps:
        last_good = latest_checkpoint(run.checkpoints) or "none was saved"
        raise UserError(
            f"step {done}: the loss or a gradient was not finite for {bad_steps} steps in a row, so training "
            f"stops; last good checkpoint: {last_good}. Lower `generator_lr` or look at the data."
        )


def _consequences(run: RunDirectory, state: TrainingState | None) -> str:
    """Says what follows for the run if another worker has gone."""
    if state is None:
        return "no step was taken; start all workers again as this time"
    return (
        f"training stops after step {state.done}; last checkpoint: {latest_checkpoint(run.checkpoints) or 'none'}; "
        f"start all workers again with `resume` `model_dir={run.path}`"
    )
