"""Crops: a frame's pixels land where the coordinates say, both ways, at every scale."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpe.geometry.crops import (
    BOX_SHARE,
    Crop,
    box_crop,
    image_to_crop,
    on_pixels,
    reduction_of,
    warp,
)


def frame_crop(height, width, size, **options):
    """The crop that takes the whole frame for the person's box."""
    return box_crop((0.0, 0.0, width, height), size, **options)


def crop_pixels(crop, points):
    """Where points of the frame land in the crop, by the definition."""
    return np.asarray(points) * crop.scale + np.asarray(crop.offset)


def blob(height, width, center, radius):
    """A bright round dot on black."""
    rows, columns = np.mgrid[:height, :width]
    distance = (columns - center[0]) ** 2 + (rows - center[1]) ** 2
    value = 255 * np.exp(-distance / (2 * radius**2))
    return np.repeat(value[..., None], 3, axis=-1).astype(np.uint8)


def centroid(image):
    weights = image[..., 0].astype(np.float64)
    weights[weights < 4] = 0
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-500, 3000),
    st.floats(-500, 3000),
    st.floats(3, 5000),
    st.floats(3, 5000),
    st.integers(16, 512),
)
def test_crop_to_frame_and_back(x, y, width, height, size):
    crop = box_crop((x, y, width, height), size)
    points = np.random.default_rng(0).uniform(-100, 4000, (20, 2))
    normalised = 2 * crop_pixels(crop, points) / size - 1
    np.testing.assert_allclose(crop.to_frame(normalised), points, atol=1e-3)


def test_the_box_is_centred_and_fills_its_share():
    crop = box_crop((100.0, 40.0, 61.0, 121.0), 224)
    corners = crop_pixels(crop, [(100, 40), (160, 160)])
    np.testing.assert_allclose(corners.mean(axis=0), 111.5)
    assert 121 * crop.scale == pytest.approx(BOX_SHARE * 224)
    whole = frame_crop(121, 61, 224)
    assert (whole.scale, whole.size) == (crop.scale, 224)
    np.testing.assert_allclose(crop_pixels(whole, [(30, 60)]), [[111.5, 111.5]])


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, -1)])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(ValueError, match="positive width and height"):
        box_crop(box, 224)


# Enlarged, at its own size, reduced a little, and reduced so far that the frame is shrunk first.
@pytest.mark.parametrize("scale", [2.7, 1.0, 0.7, 0.31, 0.083])
@pytest.mark.parametrize("at", [(0.5, 0.5), (0.23, 0.71)])
def test_take_samples_the_right_pixel(scale, at):
    size = 100
    extent = size / scale
    height, width = round(0.9 * extent) + 7, round(1.3 * extent) + 3
    dot = np.array([at[0] * width, at[1] * height])
    frame = blob(height, width, dot, 3 / min(scale, 1))
    offset = np.array([size / 2 + 3.3, size / 2 - 4.7]) - scale * dot
    crop = Crop(scale, tuple(offset), size)
    taken = crop.take(frame)
    assert taken.shape == (size, size, 3)
    np.testing.assert_allclose(centroid(taken), crop_pixels(crop, dot), atol=0.1)


def test_reducing_averages_instead_of_passing_pixels_over():
    frame = np.zeros((1000, 1000, 3), np.uint8)
    frame[::2, ::2] = 255
    taken = frame_crop(1000, 1000, 100).take(frame)
    assert np.abs(taken.astype(int) - 64).max() < 12


def test_outside_the_frame_its_edge_is_repeated():
    frame = np.full((40, 20, 3), 50, np.uint8)
    frame[:, 0] = 200
    crop = Crop(1.0, (30.0, 30.0), 100)
    taken = crop.take(frame)
    assert (taken[:, :31] == 200).all()
    assert (taken[:, 31:] == 50).all()


@pytest.mark.parametrize("scale", [0.05, 0.9])
def test_only_the_window_is_read(scale):
    # Far larger than what OpenCV can warp in one piece, and than the crop shows.
    frame = np.zeros((60, 40000, 3), np.uint8)
    frame[:, 35000:35010] = 255
    crop = Crop(scale, (50 - scale * 35004.5, 50 - scale * 30), 100)
    columns = crop.take(frame)[50, :, 0].astype(float)
    assert (columns * np.arange(100)).sum() / columns.sum() == pytest.approx(50, abs=0.1)


def test_a_window_gives_the_same_picture_as_the_whole_frame():
    small = np.random.default_rng(0).uniform(0, 255, (9, 9, 3)).astype(np.float32)
    frame = cv2.resize(small, (300, 300), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    crop = Crop(1.3, (-150.2, -100.7), 100)
    matrix = np.float64([[1.3, 0, -150.2], [0, 1.3, -100.7]])
    whole = cv2.warpAffine(frame, matrix, (100, 100), flags=cv2.INTER_LINEAR)
    assert np.abs(crop.take(frame).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_tiny_and_thin_frames(shape):
    frame = np.full((*shape, 3), (10, 20, 30), np.uint8)
    taken = frame_crop(*shape, 64).take(frame)
    assert (taken == (10, 20, 30)).all()


def test_the_camera_of_the_frame_projects_as_that_of_the_crop():
    crop = Crop(0.37, (-21.4, 13.9), 160)
    camera = np.array([0.83, 0.11, -0.07])
    points = np.random.default_rng(1).normal(size=(10, 2))
    pixels_per_metre, cx, cy = crop.frame_camera(camera)
    in_frame = points * pixels_per_metre + (cx, cy)
    normalised = camera[0] * (points + camera[1:])
    np.testing.assert_allclose(in_frame, crop.to_frame(normalised), atol=1e-9)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.6, -2.5])
def test_turned_and_mirrored_crops_lead_back_into_the_frame(angle, mirror):
    plain = box_crop((30.0, 50.0, 61.0, 80.0), 96)
    crop = dataclasses.replace(plain, angle=angle, mirror=mirror)
    points = np.random.default_rng(0).uniform(0, 150, (9, 2))
    away = crop_pixels(plain, points) - 47.5
    turned = away @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    expected = turned * [-1 if mirror else 1, 1] + 47.5
    matrix = crop.image_to_crop
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], expected)
    np.testing.assert_allclose(crop.to_frame(2 * expected / 96 - 1), points)
    frame = blob(140, 150, (70.0, 77.0), 4)
    np.testing.assert_allclose(centroid(crop.take(frame)), matrix @ [70, 77, 1], atol=0.1)
    if angle or mirror:
        with pytest.raises(ValueError, match="turned or mirrored"):
            crop.frame_camera(np.array([1.0, 0.0, 0.0]))


def test_the_share_of_the_box_is_what_is_asked_for():
    crop = box_crop((0.0, 0.0, 50.0, 100.0), 200, box_share=0.5)
    assert crop.scale == 1.0
    assert frame_crop(100, 50, 200, box_share=0.5) == crop


def test_a_mask_ends_where_its_picture_does():
    mask = np.ones((40, 30), bool)
    crop = box_crop((0, 0, 30, 40), 64)
    cut = crop.take_mask(mask)
    assert set(np.unique(cut)) == {0, 1}
    # The box fills 0.8 of the crop's height.
    assert cut.sum() == pytest.approx(mask.sum() * crop.scale**2, rel=0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("background", [0.0, 7.0, None])
def test_upright_maps_have_the_value_of_the_nearest_pixel(background, dtype):
    """Pixel by pixel by the inverse of the map: whole, beside the picture, and seeing nothing of it."""
    rng = np.random.default_rng(0)
    for mirror in (False, True):
        for center in ((20, 15), (2, 30), (35, -4), (500, 10)):
            scale, size = rng.uniform(0.3, 3), 24
            pixels = rng.integers(0, 200, (30, 40)).astype(dtype)
            matrix = image_to_crop(center + rng.uniform(size=2), scale, size=size, mirror=mirror)
            inverse = np.linalg.inv(matrix[:, :2])
            out = np.full((size, size), 99, dtype)
            found = warp(pixels, matrix, size, nearest=True, background=background, out=out)
            assert found is out
            for row, column in np.ndindex(size, size):
                x, y = np.floor(inverse @ ([column, row] - matrix[:, 2]) + 0.5).astype(int)
                if background is None:
                    expected = pixels[np.clip(y, 0, 29), np.clip(x, 0, 39)]
                else:
                    expected = pixels[y, x] if 0 <= y < 30 and 0 <= x < 40 else background
                assert found[row, column] == expected


def test_crops_move_onto_whole_pixels_by_half_a_pixel_at_most():
    rng = np.random.default_rng(1)
    center, scale, size = rng.uniform(-300, 300, (200, 2)), np.exp(rng.uniform(-3, 0.2, 200)), 50
    moved_center, moved_scale = on_pixels(center, scale, size=size)
    block = np.array([reduction_of(value) for value in scale])
    side = size / moved_scale
    corner = moved_center - (side[:, None] - 1) / 2
    np.testing.assert_allclose(np.rint(side / block) * block, side, atol=1e-9)
    np.testing.assert_allclose(np.rint(corner / block[:, None]) * block[:, None], corner, atol=1e-9)
    assert (np.abs(side - size / scale) <= block / 2 + 1e-9).all()
    assert (np.abs(moved_center - center) <= block[:, None] / 2 + 1e-9).all()
    enlarged = on_pixels([[3.3, 4.4]], [1.4], size=size)
    np.testing.assert_array_equal(enlarged[0], [[3.3, 4.4]])
    np.testing.assert_array_equal(enlarged[1], [1.4])


@pytest.mark.parametrize("background", [None, 0.0])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("scale", [0.55, 0.8, 1.0, 1.2])
def test_crops_of_whole_pixels_are_what_warping_samples(scale, mirror, background, monkeypatch):
    """Within the picture and across its border, against OpenCV's warp of the whole picture."""
    rng = np.random.default_rng(2)
    size, sizes = 60, (150, 140)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (*sizes, 3), np.uint8), (0, 0), 3)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    border = cv2.BORDER_REPLICATE if background is None else cv2.BORDER_CONSTANT
    for middle in ((70.3, 75.8), (5.6, 40.2), (130.9, 149.4)):
        center, zoom = on_pixels(middle, scale, size=size)
        matrix = image_to_crop(center, zoom, size=size, mirror=mirror)
        expected = cv2.warpAffine(picture, matrix, (size, size), borderMode=border).astype(int)
        with monkeypatch.context() as patch:
            patch.delattr(cv2, "warpAffine")  # too slow
            found = warp(picture, matrix, size, background=background)
        difference = np.abs(found - expected)
        if background is None:
            # OpenCV's warp rounds to 1/32 of a pixel; enlarged, the outermost row and column are repeated.
            inner = difference[1:-1, 1:-1] if zoom > 1 else difference
            assert inner.max() <= 2
            assert difference.max() <= 4
        else:
            assert np.median(difference) <= 1
            # Beside the picture's edge, a 32nd of a pixel is 8 levels.
            assert difference[:, 1:-1][1:-1].max() <= 9
