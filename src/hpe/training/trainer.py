"""The training loop: a run from its first step, or from its last checkpoint, to its end."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf

from hpe import systems
from hpe.errors import SettingError, UserError
from hpe.evaluation.judging import Evaluation
from hpe.inference.predictor import Predictor
from hpe.networks.randomness import initial_weights
from hpe.runs import RunDirectory
from hpe.runs.checkpoints import latest_checkpoint
from hpe.runs.initialization import describe, initialize
from hpe.runs.store import CheckpointStore
from hpe.training.config import TrainingConfig
from hpe.training.distribution import Distribution
from hpe.training.inputs import TrainingData, find_training_data, training_examples
from hpe.training.interrupts import Interrupts
from hpe.training.judging import Judge, check_validated
from hpe.training.reporting import NoReport, RunReport
from hpe.training.runs import RunConfig, write_config
from hpe.training.step import TrainingStep
from hpe.training.timing import StepTimer

Evaluate = Callable[[Predictor], Evaluation]


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        step: number of finished steps.
        interrupted: name of the signal that ended it early, or that another worker had one; else None.
        was_finished: whether it was resumed with no step left to do.
        evaluation: the last validation, or None if there was none.
        stopped_early: why the run ended before its last step by early stopping, in words, or None.
        best: the best value of `keep_best_metric` and its step, or None.
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
    `tf.config.experimental.enable_op_determinism`. The program `train` throws it for `deterministic`; this
    function changes nothing outside of the run.

    Nothing is read from the device but in steps that log, so that it need not wait for the host. The number of
    steps in a row that were skipped is therefore compared with `max_bad_steps` when it is logged.

    Args:
        config: the run's settings; `config.training.seed` fixes all randomness.
        run: where everything is written.
        distribution: the devices; by default made from `config.training`, which for several workers has to happen
            before TensorFlow computes anything. Only the chief among the workers validates and writes.
        resume: go on from the newest checkpoint of `run`; a run that was killed before its first one starts
            over. A run without steps left is validated.
        evaluate: validates a predictor; None leaves validation out.
        show_progress: draw a progress bar on stderr.

    Raises:
        UserError: the data, the disk, the checkpoint or another worker is at fault, another process trains this
            run, or the loss has stopped being finite.
    """
    distribution = distribution or Distribution(config.training)
    # The others write nothing.
    with run.writing() if distribution.is_chief else contextlib.nullcontext():
        return _train(
            config, run, distribution, resume=resume, evaluate=evaluate, show_progress=show_progress
        )


def _train(
    config: RunConfig,
    run: RunDirectory,
    distribution: Distribution,
    *,
    resume: bool,
    evaluate: Evaluate | None,
    show_progress: bool,
) -> TrainingResult:
    training = config.training
    check_validated(training, validated=evaluate is not None)
    data = find_training_data(config)
    with distribution.explained_loss(lambda: "no step was taken; start all workers again as this time"):
        trained = _build(config, run, data, distribution, resume=resume)
        distribution.require_same_step(trained.done, run.checkpoints)
    examples = training_examples(config, data, trained.system, distribution, start_step=trained.done)
    if not distribution.is_chief:
        with Interrupts() as interrupts:
            parts = (trained, examples, distribution, NoReport(), interrupts, None, None)
            return distribution.keep(_Loop(config, data, *parts)).run()

    # Only now that all data is found: a mistake in a flag leaves no run behind.
    write_config(run, config)

    shown = systems.get(config.system).shown
    report = RunReport(run, data, first_step=trained.done, show_progress=show_progress, shown=shown)
    with report, Interrupts() as interrupts:
        judge = Judge(config, run, trained.system, step=trained.update.step, history=report.history)
        parts = (trained, examples, distribution, report, interrupts, evaluate, judge)
        return distribution.keep(_Loop(config, data, *parts)).run()


@dataclasses.dataclass(frozen=True)
class _Trained:
    """What training changes, and where it is kept.

    Attributes:
        system: a `hpe.systems.base.Trains`.
        update: the step.
        store: the checkpoints of both.
    """

    system: object
    update: TrainingStep
    store: CheckpointStore

    @property
    def done(self) -> int:
        """Number of finished steps."""
        return int(self.update.step)


def _build(
    config: RunConfig, run: RunDirectory, data: TrainingData, distribution: Distribution, *, resume: bool
) -> _Trained:
    """Builds the system, its step and its checkpoints, and restores the newest one if the run is resumed."""
    training = config.training
    checkpoint = latest_checkpoint(run.checkpoints) if resume else None
    with distribution.scope(), initial_weights(training.seed):
        system = config.build_system(pretrained=checkpoint is None)
    distribution.synchronize_batch_norm(system.networks)
    if checkpoint is None:
        system.adapt(data.source.statistics())
    if checkpoint is None and training.init_from is not None:
        # Before the step is built: averages of weights start at the weights that there are then.
        matches = initialize(
            system,
            training.init_from,
            networks=training.init_networks,
            coordinates=config.coordinates,
        )
        if distribution.is_chief:
            print(describe(matches, training.init_from))
    # A variable of each worker's own: it is read by whoever asks, without the others.
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    with distribution.scope():
        update = TrainingStep(
            system,
            config.optimization,
            seed=training.seed,
            step=step,
            epoch_steps=data.epoch_steps,
            total_steps=data.total_steps,
            eager=training.eager,
        )
    store = CheckpointStore(
        run.checkpoints,
        system,
        optimizers=update.optimizers,
        step=step,
        bad_steps=update.bad_steps,
        average=update.average,
        keep=training.keep_checkpoints,
    )
    if checkpoint is not None:
        store.restore(checkpoint)
    elif resume and distribution.is_chief:
        print(f"{run.path}: was killed before its first checkpoint; starts over at step 0 with the same seed")
    return _Trained(system, update, store)


class _Loop:
    """The loop over the steps, and what is due after each of them."""

    def __init__(
        self,
        config: RunConfig,
        data: TrainingData,
        trained: _Trained,
        examples: Iterator,
        distribution: Distribution,
        report: RunReport | NoReport,
        interrupts: Interrupts,
        evaluate: Evaluate | None,
        judge: Judge | None,
    ):
        self._training = config.training
        self._feed = config.feed
        self._data = data
        self._update, self._store = trained.update, trained.store
        self._examples = examples
        self._distribution = distribution
        self._report = report
        self._interrupts = interrupts
        self._evaluate = evaluate
        self._judge = judge
        self._predictor = Predictor(trained.system)
        self._timer = StepTimer(config.training.batch_size, unit=config.feed.unit)
        self._first = self._done = self._saved = trained.done
        self._evaluation: Evaluation | None = None

    def run(self) -> TrainingResult:
        """Goes on until there is no step left, training has stopped helping, or a signal comes."""
        self._catch_up()
        was_finished, interrupted = finished, interrupted = self._agree()
        while not finished and not interrupted:
            self._advance()
            finished, interrupted = self._agree()
        if was_finished and self._evaluate is not None and self._evaluation is None:
            with self._averaged():
                self._evaluation = self._interrupts.attempt(lambda: self._evaluate(self._predictor))
        if self._done > self._saved:
            self._save()
        with self._explained_loss():
            # Nobody leaves before the chief has written everything.
            self._distribution.any(False)
        received = self._interrupts.received
        return TrainingResult(
            self._done,
            received.name if received is not None else "a signal to another worker" if interrupted else None,
            self._evaluation,
            was_finished,
            self._judge.verdict if self._judge and self._done < self._data.total_steps else None,
            self._judge.best if self._judge else None,
        )

    def _agree(self) -> list[bool]:
        """Returns whether the run is finished and whether it is interrupted, the same on all workers."""
        with self._explained_loss():
            return self._distribution.any(self._is_finished(), self._interrupts.received is not None)

    def _is_finished(self) -> bool:
        stopped = self._judge is not None and self._judge.verdict is not None
        return stopped or self._done >= self._data.total_steps

    def _catch_up(self) -> None:
        """Does the validation of the step that the run goes on from, if a kill or a signal took it."""
        if not self._done or not self._validation_due():
            return
        if all(entry.step != self._done for entry in self._report.history.validations):
            self._validate()

    def _advance(self) -> None:
        """Takes one step and does what is due after it."""
        training = self._training
        with self._timer.waiting():
            batch = next(self._examples)
        with self._timer.computing(), _explained_memory(training), self._explained_loss():
            split = self._distribution.split
            scalars = self._update(split(batch), done=self._done)
        self._done += 1
        if self._done == self._first + 1:
            self._timer.reset()  # the first step is mostly compilation
        self._report.advance()

        last = self._done == self._data.total_steps
        epoch_ended = self._done % self._data.epoch_steps == 0
        if last or epoch_ended or self._done % training.log_every == 0:
            with self._timer.reading(), _explained_memory(training), self._explained_loss():
                # The one read of the device: it waits until all steps so far are done.
                values = dict(zip(scalars, tf.stack([*scalars.values()]).numpy().tolist(), strict=True))
            self._report.scalars(values | self._timer.lap(), self._done)
            self._stop_if_not_finite(int(values["run/bad_steps"]))
        if self._distribution.is_chief and self._done % training.log_img_step == 0:
            with self._averaged():
                self._report.picture(self._feed.picture(self._predictor, batch), self._done)
        # Before validation, which may take long and may be left.
        if last or epoch_ended or self._done % training.checkpoint_steps == 0:
            self._save()
        if self._validation_due():
            self._validate()

    def _save(self) -> None:
        if self._distribution.is_chief:
            self._store.save()
        self._saved = self._done

    def _validation_due(self) -> bool:
        epochs, rest = divmod(self._done, self._data.epoch_steps)
        every = self._training.validation_step_size
        return self._evaluate is not None and (
            self._done >= self._data.total_steps
            or (rest == 0 and epochs % self._training.validation_epochs == 0)
            or (every > 0 and self._done % every == 0)
        )

    def _validate(self) -> None:
        """Measures the networks as they are now; a signal that comes meanwhile leaves no trace of it."""
        with self._averaged():
            evaluation = self._interrupts.attempt(lambda: self._evaluate(self._predictor))
            if evaluation is None:
                return
            self._evaluation = evaluation
            # The line in the history comes last: without it, a resumed run validates again and has the same to say.
            self._judge.consider(evaluation)
        self._report.validation(evaluation, self._done)

    def _explained_loss(self) -> contextlib.AbstractContextManager:
        def consequences():
            directory = self._store.directory
            return (
                f"training stops after step {self._done}; last checkpoint: "
                f"{latest_checkpoint(directory) or 'none'}; start all workers again with `resume` "
                f"`model_dir={directory.parent}`"
            )

        return self._distribution.explained_loss(consequences)

    def _averaged(self) -> contextlib.AbstractContextManager:
        """Puts the averaged weights in place, if the run averages them."""
        average = self._update.average
        return average.applied() if average is not None else contextlib.nullcontext()

    def _stop_if_not_finite(self, bad_steps: int) -> None:
        if bad_steps >= self._training.max_bad_steps:
            last_good = latest_checkpoint(self._store.directory) or "none was saved"
            raise UserError(
                f"step {self._done}: the loss or a gradient was not finite for {bad_steps} steps in a "
                f"row, so training stops; last good checkpoint: {last_good}. Lower `generator_lr` or look "
                "at the data."
            )


@contextlib.contextmanager
def _explained_memory(training: TrainingConfig) -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise SettingError(
            "batch_size", "a step does not fit into memory; lower it or `img_size`.", training.batch_size
        ) from error
