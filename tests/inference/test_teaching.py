import numpy as np
import pytest

from hpe.inference.teaching import Second, Teachers
from hpe.skeletons import COCO17

# Where the joints of a person are in the picture, of which a dot of its own colour says each.
PLACES = np.stack([np.linspace(60, 120, 17), np.linspace(30, 170, 17)], axis=1)
PLACES[COCO17.index("left_shoulder")] = (110, 60)
PLACES[COCO17.index("right_hip")] = (80, 120)


def picture():
    drawn = np.zeros((200, 240, 3), np.uint8)
    for joint, (x, y) in enumerate(np.round(PLACES).astype(int)):
        drawn[y - 1 : y + 2, x - 1 : x + 2] = (255, 10 * joint, 255 - 10 * joint)
    return drawn


class Dots:
    """Finds the dots in a crop; joints in `wrong` are said to be elsewhere, and in a mirror sides are exchanged."""

    size = 256

    def __init__(self, *, wrong=(), mirrored=False):
        self.wrong, self.calls, self.flips = wrong, 0, mirrored

    def __call__(self, crops):
        self.calls += 1
        found = np.zeros((len(crops), 17, 3))
        for n, crop in enumerate(crops.astype(int)):
            for joint in range(17):
                off = np.abs(crop - (255, 10 * joint, 255 - 10 * joint)).sum(axis=-1)
                rows, columns = np.nonzero(off == off.min())
                found[n, joint] = columns.mean(), rows.mean(), 0.9
            if self.flips and self.calls == 3:
                found[n] = found[n][list(COCO17.flip)]
            for joint in self.wrong:
                found[n, joint, 0] += 60
        return found


@pytest.mark.parametrize("second", list(Second))
def test_where_both_agree_the_joint_is_kept(second):
    wrong = COCO17.index("left_ankle")
    thunder = Dots(mirrored=second is Second.MIRRORED)
    teachers = Teachers(second, thunder=thunder, lightning=Dots(wrong=[wrong]))
    taught = teachers(picture(), [(50, 20, 80, 160)])
    np.testing.assert_allclose(taught.joints2d[0], PLACES, atol=1.0)
    agreed = taught.agreed(0.25)[0]
    if second is Second.LIGHTNING:
        assert not agreed[wrong]
        assert taught.confidences(0.25)[0, wrong] == 0
    assert np.delete(agreed, wrong).all()
    assert (taught.confidences(0.25)[0][agreed] > 0.6).all()


def test_nobody_is_nobody():
    taught = Teachers(thunder=Dots(), lightning=Dots())(picture(), [])
    assert taught.joints2d.shape == (0, 17, 2)
    assert taught.confidences(0.25).shape == (0, 17)
