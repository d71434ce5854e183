"""What `hpe preview` costs: each stage of a frame beside the bare network, whole clips, and smoothing.

    python -m benchmarks.preview [--checkpoint=lightning] [--video=FILE] [--rounds=15]

The frames are 640 x 480, of the video that is given, or of synthetic people. Stages take turns, so that whatever
else the machine does hits all of them; memory and the first picture are those of a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np

from benchmarks.timing import interleaved, load, machine_class
from hpe.inference.overlap import InOrder, ReadAhead
from hpe.inference.recording import VideoFile
from hpe.inference.sources import VideoSource
from hpe.inference.tracking import SmoothingConfig, VideoTracker
from hpe.people.detection import RtmdetDetector
from hpe.people.smoothing import OneEuroConfig, PointFilter
from hpe.visualization.views import draw_people

SIZE = (640, 480)
FRAMES = 120


def frames_of(video: str | None) -> list[np.ndarray]:
    """Returns frames (480, 640, 3) uint8 RGB."""
    if video is not None:
        frames = [
            cv2.resize(image, SIZE) for _, image in zip(range(FRAMES), VideoSource(video), strict=False)
        ]
        return frames
    from hpe.body.data import load_body_model
    from hpe.synthetic.people import SyntheticConfig, generate

    data = load_body_model()
    pictures = []
    for number in range(8):
        sample = generate(number, SyntheticConfig(image_size=480), data)
        picture = cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        pictures.append(cv2.copyMakeBorder(picture, 0, 0, 80, 80, cv2.BORDER_REPLICATE))
    return [pictures[number // 15 % 8] for number in range(FRAMES)]


def stages(model, frames: list[np.ndarray], rounds: int) -> None:
    """Prints what the stages of a frame take."""
    from hpe.geometry.crops import box_crop

    frame = np.ascontiguousarray(frames[0])
    detector = RtmdetDetector()
    found = [tuple(map(float, box)) for box in detector(frame).boxes[:1]]
    boxes = found or [(160.0, 20.0, 320.0, 440.0)]
    crop = box_crop(boxes[0], model.predictor.image_size, box_share=model.box_share)
    cut = crop.take(frame)[None]
    people = model.predict(frame, boxes=boxes)
    four = [(x + 20.0 * n, y, w, h) for n, (x, y, w, h) in enumerate(boxes * 4)]
    clock = iter(range(10**9))
    tracker = VideoTracker(
        lambda image, places: people, lambda image: (np.array(boxes), np.ones(1)), detect_every=10**9
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        video = VideoFile(pathlib.Path(folder) / "a.mp4", frames_per_second=30)
        variants = {
            "network alone": lambda: model.predictor(cut),
            "detector (every tenth frame)": lambda: detector(frame),
            "crop": lambda: crop.take(frame),
            "crop, network, place in the camera": lambda: model.predict(frame, boxes=boxes),
            "the same of four people": lambda: model.predict(frame, boxes=four),
            "numbers and smoothing": lambda: tracker(frame, next(clock) / 30),
            "drawing the mesh": lambda: draw_people(frame, people),
            "drawing the skeleton": lambda: draw_people(frame, people, view="skeleton"),
            "encoding": lambda: video.add(frame),
        }
        times = interleaved(variants, rounds=rounds)
        network = times["network alone"]
        print(f"| {'stage':<36} | ms   | processor ms | of the network |")
        print(f"| {'-' * 36} | ---- | ------------ | -------------- |")
        for name, measured in times.items():
            ratio = 1 / measured.speed_against(network)[0]
            used = 1000 * float(np.median(measured.processor))
            print(f"| {name:<36} | {1000 * measured.median:4.1f} | {used:12.1f} | {ratio:14.2f} |")


def end_to_end(model, frames: list[np.ndarray]) -> None:
    """Prints how fast a clip becomes another one: decoding, detector, network, smoothing, drawing, encoding."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "clip.mp4"
        with VideoFile(path, frames_per_second=30) as video:
            for frame in frames:
                video.add(np.ascontiguousarray(frame))
        for count in (1, 4):
            detector = RtmdetDetector()

            def detect(image, detector=detector, count=count):
                found = detector(image).boxes[:1]
                box = found[0] if len(found) else np.float32([160, 20, 320, 440])
                # The others stand where the one does, a little aside, so that they are told apart.
                aside = np.float32([0.35 * box[2], 0, 0, 0])
                return np.stack([box + number * aside for number in range(count)]), np.ones(count)

            tracker = VideoTracker(lambda image, boxes: model.predict(image, boxes=boxes), detect)
            tracker(np.ascontiguousarray(frames[0]), -1.0)  # compiles
            started, used = time.perf_counter(), time.process_time()
            with (
                VideoFile(pathlib.Path(folder) / "out.mp4", frames_per_second=30) as video,
                ReadAhead(VideoSource(str(path)).frames()) as ahead,
                InOrder() as later,
            ):
                for frame in ahead:
                    people = tracker(frame.image, frame.time)
                    later.submit(
                        lambda image, people, video=video: video.add(draw_people(image, people)),
                        frame.image,
                        people,
                    )
            seconds, used = time.perf_counter() - started, time.process_time() - used
            print(
                f"clip to clip, {count} in every frame: {len(frames) / seconds:.1f} frames/s, "
                f"{1000 * used / len(frames):.1f} processor ms a frame"
            )


def smoothing() -> None:
    """Prints jitter at rest and lag in motion, with the noise of predictions, before and after smoothing."""
    config = SmoothingConfig()

    def arm(seconds):
        angle = np.pi / 3 * np.sin(2 * np.pi * seconds)
        return 0.6 * np.stack([np.sin(angle), -np.cos(angle), 0 * angle], axis=1)

    def walk(seconds):
        return np.stack([0.8 * seconds, 0 * seconds], axis=1)  # 1.4 m/s of a person of 1.75 m

    print("| of | noise | frames/s | jitter left | lag in ms |\n| --- | --- | --- | --- | --- |")
    rows = {
        "a wrist that swings once a second, up to 4 m/s": (config.points, 0.01, "1 cm", arm),
        "2D joints of somebody who walks by": (config.pixels, 0.004, "0.4 % of the height", walk),
    }
    for name, (filtered, noise, said, path) in rows.items():
        for rate in (25, 50):
            jitter, lag = judged(filtered, noise, path, rate)
            print(f"| {name} | {said} | {rate} | {100 * jitter:.0f} % | {1000 * lag:.0f} |")


def judged(config: OneEuroConfig, noise: float, path, rate: float) -> tuple[float, float]:
    """Returns the share of the jitter that is left at rest, and the lag on a path in seconds."""
    rng = np.random.default_rng(0)
    seconds = np.arange(int(6 * rate)) / rate
    true = path(seconds)

    def filtered(points):
        smooth = PointFilter(config)
        return np.array([smooth(point[None], when)[0] for point, when in zip(points, seconds, strict=True)])

    rest = rng.normal(0, noise, true.shape)
    moved = filtered(true + rng.normal(0, noise, true.shape))
    start = int(rate)  # a second to settle in
    shifts = np.arange(0, 0.3, 0.001)

    def error(shift):
        shifted = [np.interp(seconds - shift, seconds, values) for values in true.T]
        return np.abs(np.stack(shifted, axis=1) - moved)[start:].mean()

    return filtered(rest)[start:].std() / rest[start:].std(), float(shifts[np.argmin([*map(error, shifts)])])


def first_picture(checkpoint: str, frame: np.ndarray) -> None:
    """Prints what a process needs until its first picture is there."""
    with tempfile.TemporaryDirectory() as folder:
        picture = pathlib.Path(folder) / "a.png"
        cv2.imwrite(str(picture), frame[..., ::-1])
        command = [sys.executable, "-m", "hpe", "preview", f"--checkpoint={checkpoint}", str(picture)]
        script = (
            "import resource, subprocess as s, sys; s.run(sys.argv[1:], check=True, stdout=s.DEVNULL); "
            "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
            "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *command, f"--output={folder}/out"],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ,
        )
        seconds, megabytes = map(float, re.findall(r"[\d.]+", done.stdout)[-2:])
        print(f"one picture, from the start: {seconds:.1f} s of processor time, {megabytes:.0f} MB")


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="lightning")
    parser.add_argument("--video", default=None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only_smoothing", action="store_true")
    given = parser.parse_args()
    smoothing()
    if given.only_smoothing:
        return
    import hpe

    print(f"{machine_class()}; {load()}")
    frames = frames_of(given.video)
    model = hpe.load(given.checkpoint)
    stages(model, frames, given.rounds)
    end_to_end(model, frames)
    first_picture(given.checkpoint, frames[0])


if __name__ == "__main__":
    main()
