"""show_body: three pictures of a body model, the whole body on each, joints on the body."""

import numpy as np

from hpe.body.data import load_body_model
from hpe.programs.body_pictures import Artist, show_body
from hpe.programs.show_body import ShowBodyConfig
from hpe.visualization.grids import read_image


def test_three_pictures_are_written(tmp_path):
    paths = show_body(ShowBodyConfig(output_dir=str(tmp_path), cell=64))
    assert [path.name for path in paths] == ["body_tpose.png", "body_poses.png", "body_shapes.png"]
    for path in paths:
        assert read_image(path).std() > 10.0


def test_the_body_fills_the_picture_and_leaves_its_border_free():
    artist = Artist(load_body_model())
    pose = np.zeros(72)
    pose[0] = np.pi
    picture = artist.draw(120, pose)
    drawn = (picture != picture[0, 0]).any(axis=2)
    assert drawn.any(axis=1).sum() > 90
    assert not drawn[0].any()
    assert not drawn[:, 0].any()
    rows = np.flatnonzero(drawn.any(axis=1))
    for row in (rows[0], rows[-2]):  # dark hair above, dark shoes below
        assert np.median(picture[row][drawn[row]]) < 100
    np.testing.assert_allclose(drawn.mean(axis=0), drawn.mean(axis=0)[::-1], atol=0.05)


def test_joints_are_drawn_over_the_faded_body():
    artist = Artist(load_body_model())
    pose = load_body_model().mean_pose
    plain, joints = artist.draw(120, pose), artist.draw(120, pose, over="joints")
    drawn = (plain != plain[0, 0]).any(axis=2)
    assert joints[drawn].mean() > plain[drawn].mean() + 30
    assert joints[drawn].std(axis=1).max() > 60  # saturated colours of limbs
