"""The training loop: a run from its first step, or from its last checkpoint, to its end."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from hpe.errors import UserError
from hpe.evaluation.evaluator import Evaluation
from hpe.inference.predictor import Predictor
from hpe.pipeline.damage import translate_errors
from hpe.pipeline.images import steps_per_epoch, training_batches
from hpe.pipeline.mocap import mocap_batches
from hpe.records.mocap import find_frames
from hpe.records.reading import find_shards
from hpe.training.checkpoints import CheckpointStore, latest_checkpoint
from hpe.training.config import TrainingConfig
from hpe.training.interrupts import Interrupts
from hpe.training.logging import TrainingLog
from hpe.training.runs import RunConfig, RunDirectory
from hpe.training.step import TrainingStep
from hpe.visualization.grids import grid
from hpe.visualization.overlays import prediction_panel

# Images whose predictions are drawn into the log.
_PANEL_IMAGES = 4


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        step: number of finished steps.
        interrupted: name of the signal that ended it early, or None.
        was_finished: whether it was resumed with no step left to do.
        evaluation: the last validation, or None if there was none.
    """

    step: int
    interrupted: str | None
    evaluation: Evaluation | None
    was_finished: bool = False


def train(
    config: RunConfig,
    run: RunDirectory,
    *,
    resume: bool = False,
    evaluate: Callable[[Predictor], Evaluation] | None = None,
    show_progress: bool = True,
) -> TrainingResult:
    """Trains a system until its epochs or steps are done, or a signal asks it to stop.

    Data order, augmentation, dropout and the critic's interpolation are functions of (seed, step), so a run
    that is killed and resumed ends where an undisturbed one ends.

    Args:
        config: the run's settings; `config.training.seed` fixes all randomness.
        run: where everything is written.
        resume: go on from the newest checkpoint of `run`; a run that was killed before its first one starts
            over. A run without steps left is validated.
        evaluate: validates a predictor; None leaves validation out.
        show_progress: draw a progress bar on stderr.

    Raises:
        UserError: the data, the disk or the checkpoint is at fault, or the loss has stopped being finite.
    """
    training, pipeline = config.training, config.pipeline
    keras.utils.set_random_seed(training.seed)
    if training.deterministic:
        tf.config.experimental.enable_op_determinism()

    # ---- data --------------------------------------------------------------------------------------------
    shards = find_shards(training.data_dir, training.datasets)
    epoch_steps = steps_per_epoch(shards, training.batch_size)
    total_steps = training.num_epochs * epoch_steps
    if training.max_steps is not None:
        total_steps = min(total_steps, training.max_steps)

    # ---- system, optimizers, checkpoint ------------------------------------------------------------------
    checkpoint = latest_checkpoint(run.checkpoints) if resume else None
    system = config.build_system(pretrained=checkpoint is None)
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    update = TrainingStep(system, training, step=step, total_steps=total_steps)
    store = CheckpointStore(
        run.checkpoints,
        system,
        optimizers=update.optimizers,
        step=step,
        bad_steps=update.bad_steps,
        keep=training.keep_checkpoints,
    )
    if checkpoint is not None:
        store.restore(checkpoint)
    elif resume:
        print(f"{run.path}: was killed before its first checkpoint; starts over at step 0 with the same seed")
    first_step = int(step)

    # ---- input -------------------------------------------------------------------------------------------
    batches = training_batches(
        shards,
        pipeline,
        batch_size=training.batch_size,
        seed=training.seed,
        start_step=first_step,
        body_models=system.body_models,
    )
    mocap, mocap_files = None, ()
    if system.adversary is not None:
        found = find_frames(training.data_dir, training.mocap_datasets)
        mocap_files = [file for frames in found for file in frames.files]
        mocap = iter(
            mocap_batches(
                mocap_files,
                batch_size=training.batch_size * system.adversary.real_examples_per_image(),
                seed=training.seed,
                start_step=first_step,
            )
        )
    batches = iter(batches)

    # Only now that all data is found: a mistake in a flag leaves no run behind.
    run.write_params(config)

    # ---- loop --------------------------------------------------------------------------------------------
    log = TrainingLog(run.tensorboard)
    predictor = Predictor(system, image_size=pipeline.img_size)
    log.text("settings", f"```\n{run.params.read_text()}```")
    evaluation = None
    progress = tqdm(
        total=total_steps, initial=first_step, unit="step", disable=not show_progress, dynamic_ncols=True
    )
    with Interrupts() as interrupts, contextlib.closing(log), progress:
        done = saved = first_step
        while done < total_steps and interrupts.received is None:
            with translate_errors(shards, mocap_files=mocap_files):
                batch = next(batches)
                real = next(mocap) if mocap is not None else None
            with _explained_memory(training):
                scalars = update(batch, real)
            done += 1
            progress.update()
            _stop_if_not_finite(int(scalars["run/bad_steps"]), training.max_bad_steps, done, store)

            last = done == total_steps
            epoch_ended = done % epoch_steps == 0
            if done % training.log_every == 0 or last or epoch_ended:
                _log_scalars(scalars, done, log, progress, epoch=(done - 1) // epoch_steps + 1)
            if done % training.log_img_step == 0:
                log.image("vis_images", panels(predictor, batch["image"].numpy()), done)
            if epoch_ended or last or done % training.checkpoint_steps == 0:
                store.save()
                saved = done
            if evaluate is not None and (last or _validation_due(done, epoch_steps, training)):
                evaluation = interrupts.attempt(lambda: evaluate(predictor))
                _log_metrics(evaluation, done, log, progress)

        was_finished = first_step >= total_steps
        if was_finished and evaluate is not None:
            evaluation = interrupts.attempt(lambda: evaluate(predictor))
        if interrupts.received is not None and done > saved:
            store.save()
    name = interrupts.received.name if interrupts.received is not None else None
    return TrainingResult(done, name, evaluation, was_finished)


@contextlib.contextmanager
def _explained_memory(training: TrainingConfig) -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(
            f"--batch_size={training.batch_size}: a step does not fit into memory; lower it or --img_size."
        ) from error


def panels(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    """Draws the predictions of the first images of a batch below each other, (H, W, 3) uint8 RGB."""
    images = images[:_PANEL_IMAGES]
    prediction = predictor(images)
    rows = [prediction_panel(image, prediction, index) for index, image in enumerate(images)]
    return grid(rows, columns=1)


def _validation_due(done: int, epoch_steps: int, training: TrainingConfig) -> bool:
    epochs, rest = divmod(done, epoch_steps)
    every = training.validation_step_size
    return (rest == 0 and epochs % training.validation_epochs == 0) or (every > 0 and done % every == 0)


def _log_scalars(scalars: dict, step: int, log: TrainingLog, progress: tqdm, *, epoch: int) -> None:
    values = {name: float(value) for name, value in scalars.items()}
    log.scalars(values, step)
    shown = {"epoch": epoch, "loss": f"{values['generator/total']:.3f}"}
    for name, label in (
        ("generator/kpr_loss", "kpr"),
        ("generator/mr_loss", "mr"),
        ("critic/total", "critic"),
    ):
        if name in values:
            shown[label] = f"{values[name]:.3f}"
    progress.set_postfix(shown)


def _log_metrics(evaluation: Evaluation | None, step: int, log: TrainingLog, progress: tqdm) -> None:
    if evaluation is None:  # a signal came
        return
    metrics = evaluation.values()
    log.scalars(metrics, step, prefix="validation/")
    log.flush()
    text = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    progress.write(f"step {step}: {text}")


def _stop_if_not_finite(bad_steps: int, limit: int, step: int, store: CheckpointStore) -> None:
    if bad_steps >= limit:
        last_good = latest_checkpoint(store.directory) or "none was saved"
        raise UserError(
            f"step {step}: the loss or a gradient was not finite for {bad_steps} steps in a row, so training "
            f"stops; last good checkpoint: {last_good}. Lower --generator_lr or look at the data."
        )
