"""Postures of everyday life and sport, as Euler angles of the joints.

Every posture is a function of a random generator that returns {joint: (x, y, z)}: angles about the three axes in
the sense of the left side, for joints of both sides (see `limits`): -x lifts a thigh, -z lowers an arm, and so
on, whichever side it is on.
"""

from __future__ import annotations

import enum

import numpy as np


class Posture(enum.Enum):
    """Kinds of postures that `random_posture` knows."""

    STANDING = "standing"
    GESTURING = "gesturing"
    WALKING = "walking"
    RUNNING = "running"
    REACHING = "reaching"
    BENDING = "bending"
    SITTING = "sitting"
    CROUCHING = "crouching"
    KICKING = "kicking"
    THROWING = "throwing"


# How often each is drawn among random people.
SHARES = {
    Posture.STANDING: 0.18,
    Posture.GESTURING: 0.16,
    Posture.WALKING: 0.14,
    Posture.RUNNING: 0.10,
    Posture.REACHING: 0.12,
    Posture.BENDING: 0.06,
    Posture.SITTING: 0.08,
    Posture.CROUCHING: 0.05,
    Posture.KICKING: 0.05,
    Posture.THROWING: 0.06,
}


def random_posture(generator, posture=None) -> dict[str, tuple[float, float, float]]:
    """Draws the joint angles of a posture, of a random kind if `posture` is None, on a random leading side."""
    if posture is None:
        posture = list(SHARES)[generator.choice(len(SHARES), p=list(SHARES.values()))]
    side, other = ("left", "right") if generator.random() < 0.5 else ("right", "left")
    angles = _spine(generator, 0.05, 0.1) | _arm_down(generator, "left") | _arm_down(generator, "right")
    angles |= _leg(generator, "left") | _leg(generator, "right")
    return angles | _POSTURES[posture](generator, side, other)


def _uniform(generator, low, high):
    return float(generator.uniform(low, high))


def _spine(generator, bow, spread):
    """Bows and turns the spine, spread over its three joints; the head looks about."""
    turn, lean = generator.normal(size=2) * spread
    nod, look = _uniform(generator, -0.2, 0.25), _uniform(generator, -0.5, 0.5)
    return dict.fromkeys(("spine1", "spine2", "spine3"), (bow, turn, lean)) | {
        "neck": (0.5 * nod, 0.5 * look, 0.0),
        "head": (0.5 * nod, 0.5 * look, 0.0),
    }


def _arm(side, *, raised, forward, twist=0.0, elbow=0.2, forearm=0.0, shrug=0.0):
    """Returns an arm: `raised` above the horizontal and `forward` of the side (radians)."""
    return {
        f"{side}_collar": (0.0, -0.15 * max(forward, 0.0), 0.25 * max(raised, 0.0) + shrug),
        f"{side}_shoulder": (twist, -forward, raised),
        f"{side}_elbow": (forearm, -elbow, 0.0),
        f"{side}_wrist": (0.0, 0.0, 0.0),
        f"{side}_hand": (0.0, 0.0, -0.3),
    }


def _arm_within(generator, side, **ranges):
    """Returns an arm whose angles, named as in `_arm`, are drawn from ranges (lowest, highest)."""
    return _arm(side, **{angle: _uniform(generator, *limits) for angle, limits in ranges.items()})


def _arm_down(generator, side):
    return _arm_within(
        generator,
        side,
        raised=(-1.4, -1.2),
        forward=(-0.2, 0.4),
        twist=(-0.3, 0.3),
        elbow=(0.05, 0.5),
        forearm=(-0.5, 0.2),
    )


def _leg(generator, side, *, lift=None, spread=None, knee=None, turn=None, ankle=None):
    lift = _uniform(generator, -0.05, 0.1) if lift is None else lift
    knee = _uniform(generator, 0.0, 0.15) if knee is None else knee
    ankle = float(np.clip(lift - knee, -0.4, 0.3)) if ankle is None else ankle
    return {
        f"{side}_hip": (
            -lift,
            _uniform(generator, -0.1, 0.3) if turn is None else turn,
            _uniform(generator, -0.05, 0.12) if spread is None else spread,
        ),
        f"{side}_knee": (knee, 0.0, 0.0),
        f"{side}_ankle": (ankle, 0.0, 0.0),
        f"{side}_foot": (0.0, 0.0, 0.0),
    }


def _standing(generator, side, other):
    """Weight on one leg, arms hanging; the other knee loose."""
    lean = _uniform(generator, -0.08, 0.08)
    angles = _leg(generator, side, lift=_uniform(generator, 0.0, 0.35), knee=_uniform(generator, 0.0, 0.5))
    return angles | {"spine1": (0.02, 0.0, lean), "spine3": (0.02, 0.0, -lean)}


def _gesturing(generator, side, other):
    """Standing with bent arms in front of the body, hands on hips, or one hand at the head."""
    choice = generator.integers(4)
    if choice == 0:  # hands on hips
        hips = {"raised": -0.95, "forward": -0.35, "twist": 0.9, "elbow": 1.6}
        return _arm("left", **hips) | _arm("right", **hips)
    if choice == 1:  # a hand near the head
        return _arm_within(
            generator,
            side,
            raised=(-0.2, 0.3),
            forward=(0.3, 0.9),
            twist=(-1.2, -0.7),
            elbow=(1.7, 2.2),
        )
    angles = {}
    for arm in (side,) if choice == 2 else (side, other):
        angles |= _arm_within(
            generator,
            arm,
            raised=(-1.25, -0.7),
            forward=(0.1, 0.8),
            twist=(-0.6, 0.2),
            elbow=(0.8, 1.8),
            forearm=(-0.6, 0.6),
        )
    return angles


def _stride(generator, side, other, *, swing, lift_knee, elbow, bow):
    """One moment of a gait: the phase decides where the legs are, the arms swing against them."""
    phase = _uniform(generator, 0.0, 2.0 * np.pi)
    angles = _spine(generator, bow, 0.05)
    for leg, shift in ((side, 0.0), (other, np.pi)):
        along = np.sin(phase + shift)
        forward = np.cos(phase + shift)  # > 0 while the leg is brought to the front
        knee = 0.1 + lift_knee * max(forward, 0.0) ** 1.5 + 0.25 * max(-along, 0.0) * lift_knee
        angles |= _leg(
            generator,
            leg,
            lift=swing * along + 0.3 * lift_knee * max(forward, 0.0),
            knee=knee,
            spread=_uniform(generator, -0.02, 0.06),
            turn=_uniform(generator, -0.05, 0.15),
        )
        arm = other if leg == side else side
        # A hanging arm swings about x: the shoulder twist of a lowered arm.
        angles |= _arm(
            arm,
            raised=-1.3,
            forward=0.0,
            twist=-0.9 * swing * along,
            elbow=elbow * (1.0 + 0.35 * along),
        )
    return angles


def _walking(generator, side, other):
    swing = _uniform(generator, 0.2, 0.5)
    return _stride(generator, side, other, swing=swing, lift_knee=0.8, elbow=0.35, bow=0.03)


def _running(generator, side, other):
    swing = _uniform(generator, 0.5, 0.95)
    return _stride(generator, side, other, swing=swing, lift_knee=1.5, elbow=1.4, bow=0.1)


def _reaching(generator, side, other):
    """One or both arms to the side, to the front or overhead; legs together or apart."""
    angles = {}
    for arm in (side, other) if generator.random() < 0.6 else (side,):
        angles |= _arm_within(
            generator,
            arm,
            raised=(-0.6, 1.2),
            forward=(-0.1, 1.4),
            twist=(-0.7, 0.3),
            elbow=(0.0, 1.0),
            forearm=(-0.5, 0.5),
        )
    if generator.random() < 0.4:
        for leg in (side, other):
            angles |= _leg(generator, leg, spread=_uniform(generator, 0.15, 0.5))
    return angles


def _bending(generator, side, other):
    angles = _spine(generator, _uniform(generator, 0.2, 0.4), 0.08)
    lift, knee = _uniform(generator, 0.4, 1.0), _uniform(generator, 0.1, 0.8)
    for limb in (side, other):
        angles |= _leg(generator, limb, lift=lift, knee=knee, spread=_uniform(generator, 0.05, 0.25))
        angles |= _arm_within(
            generator,
            limb,
            raised=(-0.9, -0.4),
            forward=(1.0, 1.5),
            elbow=(0.1, 0.8),
        )
    return angles


def _sitting(generator, side, other):
    angles = _spine(generator, _uniform(generator, 0.0, 0.15), 0.06)
    lift, knee = _uniform(generator, 1.2, 1.6), _uniform(generator, 1.2, 1.7)
    for limb in (side, other):
        angles |= _leg(
            generator,
            limb,
            lift=lift + _uniform(generator, -0.1, 0.1),
            knee=knee + _uniform(generator, -0.3, 0.3),
            spread=_uniform(generator, 0.0, 0.35),
            ankle=_uniform(generator, -0.1, 0.3),
        )
        angles |= _arm_within(
            generator,
            limb,
            raised=(-1.1, -0.7),
            forward=(0.5, 1.0),
            elbow=(0.3, 1.2),
        )
    return angles


def _crouching(generator, side, other):
    angles = _spine(generator, _uniform(generator, 0.1, 0.3), 0.06)
    lift, knee = _uniform(generator, 1.3, 1.9), _uniform(generator, 1.7, 2.3)
    for limb in (side, other):
        angles |= _leg(
            generator,
            limb,
            lift=lift + _uniform(generator, -0.15, 0.15),
            knee=knee + _uniform(generator, -0.15, 0.1),
            spread=_uniform(generator, 0.1, 0.45),
            turn=_uniform(generator, 0.0, 0.5),
            ankle=_uniform(generator, -0.45, 0.1),
        )
        angles |= _arm_within(
            generator,
            limb,
            raised=(-0.8, -0.2),
            forward=(0.9, 1.5),
            elbow=(0.2, 1.4),
        )
    return angles


def _kicking(generator, side, other):
    """One leg high to the front or the side, arms out for balance."""
    angles = _spine(generator, _uniform(generator, -0.15, 0.1), 0.1)
    angles |= _leg(
        generator,
        side,
        lift=_uniform(generator, 0.6, 1.6),
        knee=_uniform(generator, 0.0, 1.3),
        spread=_uniform(generator, 0.0, 0.5),
    )
    angles |= _leg(generator, other, lift=_uniform(generator, -0.2, 0.2), knee=_uniform(generator, 0.0, 0.5))
    for arm in (side, other):
        angles |= _arm_within(
            generator,
            arm,
            raised=(-0.9, 0.4),
            forward=(-0.4, 0.9),
            elbow=(0.2, 1.3),
        )
    return angles


def _throwing(generator, side, other):
    """A lunge with one arm drawn back overhead and the other to the front: tennis, handball, baseball."""
    angles = _spine(generator, _uniform(generator, -0.1, 0.2), 0.15)
    angles |= _leg(
        generator,
        other,
        lift=_uniform(generator, 0.4, 1.1),
        knee=_uniform(generator, 0.3, 1.2),
        spread=_uniform(generator, 0.05, 0.3),
    )
    angles |= _leg(
        generator, side, lift=_uniform(generator, -0.35, 0.1), knee=_uniform(generator, 0.1, 0.9), spread=0.15
    )
    angles |= _arm_within(
        generator,
        side,
        raised=(0.1, 1.0),
        forward=(-0.5, 0.5),
        twist=(-1.3, -0.4),
        elbow=(0.4, 1.7),
    )
    return angles | _arm_within(
        generator,
        other,
        raised=(-0.7, 0.3),
        forward=(0.5, 1.5),
        elbow=(0.1, 1.2),
    )


_POSTURES = {
    Posture.STANDING: _standing,
    Posture.GESTURING: _gesturing,
    Posture.WALKING: _walking,
    Posture.RUNNING: _running,
    Posture.REACHING: _reaching,
    Posture.BENDING: _bending,
    Posture.SITTING: _sitting,
    Posture.CROUCHING: _crouching,
    Posture.KICKING: _kicking,
    Posture.THROWING: _throwing,
}
