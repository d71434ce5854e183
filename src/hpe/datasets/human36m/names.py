"""Human3.6M's names: subjects, actions, trials, cameras, and which of its 32 joints are `h36m17`."""

from __future__ import annotations

import re
from typing import NamedTuple

TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
VAL_SUBJECTS = ("S9", "S11")

ACTIONS = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Photo",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Waiting",
    "WalkDog",
    "Walking",
    "WalkTogether",
)
TRIALS_PER_ACTION = 2
# Names that S1 and older releases give two of them.
_OTHER_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}

# In the order of every list of four cameras that the public files hold, with the size of their images.
CAMERAS = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}

# Where the joints of `h36m17` are among the 32 of the release; the others repeat them or do not move.
NUM_RAW_JOINTS = 32
RAW_JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)

_SUBJECT = re.compile(r"S(\d+)")
_TRIAL = re.compile(r"([A-Za-z]+)(?:[ _](\d+))?")


class Trial(NamedTuple):
    """One of the two recordings of an action by a subject.

    Attributes:
        subject: such as `S9`.
        action: one of ACTIONS.
        number: such as `1`; empty where the files give none.
    """

    subject: str
    action: str
    number: str

    def __str__(self) -> str:
        return f"{self.subject}/{self.action} {self.number}".rstrip()


def parse_trial(subject: str, text: str) -> Trial | None:
    """Returns the trial that `Directions 1`, `Directions_1` or `Directions` names; None if there is no such action.

    `Sitting` and `SittingDown` are different actions: the whole word is compared.
    """
    match = _TRIAL.fullmatch(text)
    if match is None:
        return None
    action = _OTHER_NAMES.get(match[1], match[1])
    return Trial(subject, action, match[2] or "") if action in ACTIONS else None


def is_subject(text: str) -> bool:
    """Whether a folder or key is called like a subject: `S9`, but not `S9b`."""
    return _SUBJECT.fullmatch(text) is not None
