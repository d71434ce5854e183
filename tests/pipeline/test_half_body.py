import numpy as np
import pytest

from hpe import skeletons
from hpe.fields import Needs
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.half_body import halved_box
from hpe.pipeline.images import training_batches
from tests.pipeline.people import make_sample, write_shards

CENTER, SCALE = np.float32([[7, 8]]), np.float32([100])


def _box(visibility, *, half=True, upper=True, skeleton=skeletons.COCO17):
    joints = np.stack([np.arange(len(skeleton)), 10.0 * np.arange(len(skeleton))], axis=-1)
    center, scale = halved_box(
        CENTER,
        SCALE,
        joints[None],
        visibility[None],
        half=np.array([half]),
        upper=np.array([upper]),
        skeleton=skeleton.name,
        box_share=0.8,
    )
    return joints, center[0], scale[0]


@pytest.mark.parametrize(("upper", "rows"), [(True, slice(0, 11)), (False, slice(11, 17))])
def test_the_box_is_that_of_the_joints_of_one_half(upper, rows):
    joints, center, scale = _box(np.ones(17), upper=upper)
    np.testing.assert_allclose(center, joints[rows].mean(axis=0))
    # HRNet shows 1.5 of the joints' box, of which our boxes are 0.8.
    assert scale == pytest.approx(1.2 * (joints[rows, 1].max() - joints[rows, 1].min()))


def test_the_other_half_is_taken_where_the_preferred_one_is_hidden():
    visible = np.ones(17)
    visible[2:11] = 0
    visible[:3] = 1  # nose and eyes: nine joints are visible
    joints, center, _ = _box(visible, upper=False)
    np.testing.assert_allclose(center, joints[11:].mean(axis=0))
    visible = np.ones(17)
    visible[13:] = 0
    joints, center, _ = _box(visible, upper=False)
    np.testing.assert_allclose(center, joints[:11].mean(axis=0))


def test_people_with_few_visible_joints_and_those_not_drawn_stay_whole():
    few = (np.arange(17) < 8).astype(float)
    for _, center, scale in (_box(few), _box(np.ones(17), half=False)):
        assert center.tolist() == CENTER[0].tolist()
        assert scale == SCALE[0]


def test_mpii_has_its_pelvis_below_and_its_thorax_above():
    joints, center, _ = _box(np.ones(16), upper=False, skeleton=skeletons.MPII16)
    np.testing.assert_allclose(center, joints[:7].mean(axis=0))


def test_crops_of_training_are_halved_with_the_probability(tmp_path):
    shard = write_shards(tmp_path, [1], samples=[make_sample(0)])
    config = PipelineConfig(
        img_size=16, trans_max=0, scale_min=1, scale_max=1, flip=False, half_body_probability=0.4
    )
    batches = training_batches(
        [shard], config, batch_size=1, seed=0, needs=Needs(("joints2d",), "lsp14")
    ).take(60)
    places = [batch["joints2d"].tobytes() for batch in batches.as_numpy_iterator()]
    assert len(set(places)) == 3
    whole = max(set(places), key=places.count)
    assert 0.4 < places.count(whole) / 60 < 0.8
