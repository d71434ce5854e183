"""Maps over crops: bright where they are high, the dimmed picture where they are low."""

import numpy as np

from hpe.visualization.heatmaps import heatmap_overlay


def test_a_map_is_bright_where_it_is_high():
    image = np.full((32, 32, 3), 200, np.uint8)
    heatmap = np.zeros((8, 8))
    heatmap[1, 6] = 3.0
    picture = heatmap_overlay(image, heatmap, size=64)
    assert picture.shape == (64, 64, 3)
    assert picture[12, 52].sum() > 400
    # Elsewhere the dimmed picture, without colour.
    assert (picture[50, 10] == picture[50, 10, 0]).all()
    assert 50 < picture[50, 10, 0] < 90
    nothing = heatmap_overlay(image, np.full((8, 8), -1.0), size=64)
    assert (nothing == nothing[0, 0, 0]).all()
