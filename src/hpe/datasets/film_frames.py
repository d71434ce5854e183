"""Whether pictures that somebody took from a film are its frames, one for each, as labels are numbered.

A program that was told a rate, such as `ffmpeg -r 10`, numbers what it writes without gaps, too: picture 2 is frame
6 then, and gets the labels of frame 2. Their number tells.
"""

from __future__ import annotations

from collections.abc import Collection

# Rates that films are made and taken apart at, frames per second.
_FILM_RATES = (25.0, 30.0, 50.0, 60.0)
_PICTURE_RATES = (
    1.0,
    2.0,
    3.0,
    4.0,
    5.0,
    6.0,
    8.0,
    10.0,
    12.0,
    12.5,
    15.0,
    20.0,
    24.0,
    25.0,
    30.0,
    50.0,
    60.0,
)
# Fewer pictures fit to some rate by accident; so many the number may be off, for how a film begins and ends.
_LEAST, _OFF = 100, 3


def other_rate(frames: Collection[int], labels: int, *, film_rate: float = 0.0) -> float:
    """Returns the frames per second that pictures were taken at if that is another than the film's; 0 if not.

    Args:
        frames: numbers of the pictures, from 0.
        labels: number of frames that have labels.
        film_rate: frames per second of the film; 0 where it is unknown.
    """
    count = len(frames)
    if count < _LEAST or max(frames) + 1 != count or abs(count - labels) <= _OFF:
        return 0.0
    for film in (film_rate,) if film_rate else _FILM_RATES:
        for rate in _PICTURE_RATES:
            if rate != film and abs(count - labels * rate / film) <= _OFF:
                return rate
    return 0.0
