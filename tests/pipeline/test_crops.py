"""Crops of encoded images and their maps: bilinear and nearest by the exact map, of every format and scale."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from hpe import fields
from hpe.fields import Needs
from hpe.geometry.crops import bounds, image_to_crop
from hpe.pipeline import crops, moving
from hpe.pipeline.augmentation import Jitter
from tests.pipeline.people import encode, textured_image

SILHOUETTE = fields.get("silhouette")
NEEDS = Needs(("image", "silhouette"), "lsp14")
# With it, a person without a box has 224 of their image's pixels around them in the crop.
SHARE = 0.8


def crop_one(
    encoded, mask=b"", *, center, side, size, zoom=1.0, mirror=False, angle=0.0, wanted=("silhouette",)
):
    """The crop of one image, through a batch of two of which the other must not matter."""
    other = encode(textured_image(9, 30, 40))
    parsed = {
        "image": tf.constant([other, encoded]),
        "silhouette": tf.constant([b"", mask]),
        "silhouette_weight": tf.ones(2),
        "name": tf.constant(["other", "im1.jpg"]),
        "center": tf.constant([[10.0, 10.0], list(center)], tf.float32),
        "scale": tf.constant([0.0, side], tf.float32),
    }
    jitter = Jitter(
        tf.zeros((2, 2)),
        tf.constant([1.0, zoom], tf.float32),
        tf.constant([False, mirror]),
        tf.constant([0.0, angle], tf.float32),
    )

    @tf.function(autograph=False)  # In a graph, as in tf.data: there Python's errors become TensorFlow's.
    def crop():
        made = [fields.get(key) for key in wanted]
        return crops.crop_people(parsed, jitter, made, needs=NEEDS, size=size, box_share=SHARE, threads=2)

    return {key: values.numpy()[1] for key, values in crop().items()}


def sources(matrix, size):
    """Columns and rows of the image under the centres of the crop's pixels."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2)
    return np.linalg.solve(matrix[:, :2], (grid - matrix[:, 2]).T).reshape(2, size, size)


PLACES = [
    {"center": (40.2, 50.7), "side": 48.0},
    {"center": (40.2, 50.7), "side": 48.0, "mirror": True},
    {"center": (35.0, 62.0), "side": 99.0},  # beyond the image on all sides
    {"center": (35.0, 62.0), "side": 99.0, "mirror": True, "angle": -0.9},
    {"center": (60.0, 60.0), "side": 61.3, "angle": 2.0},
    {"center": (225.0, 325.0), "side": 40.0},  # all outside
    {"center": (-225.0, -175.0), "side": 40.0, "mirror": True},
]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [64, 150])
def test_images_are_bilinear_by_the_map_that_is_told_and_repeat_their_border(place, suffix, size):
    encoded = encode(textured_image(0, 120, 97), suffix)
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB).astype(float)
    made = crop_one(encoded, size=size, **place)
    assert made["image_size"].tolist() == [120, 97]
    columns, rows = sources(made["image_to_crop"].astype(np.float64), size)
    channels = [
        ndimage.map_coordinates(image[..., c], [rows, columns], order=1, mode="nearest") for c in range(3)
    ]
    expected = np.stack(channels, axis=-1)
    # OpenCV's places are multiples of 1/32 pixel; neighbours differ by up to 25.
    assert np.abs(made["image"] - expected).max() <= 2.5
    assert np.abs(made["image"] - expected).mean() <= 0.6
    assert not made["silhouette"].any()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [64, 150])
def test_masks_are_nearest_and_have_background_outside(place, size):
    mask = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (120, 97))
    encoded = encode(np.zeros((120, 97, 3), np.uint8))
    made = crop_one(encoded, encode(mask), size=size, **place)
    columns, rows = sources(made["image_to_crop"].astype(np.float64), size)
    padded = np.pad(mask > 0, 600)
    # Where a crop pixel lies close to the edge of two source pixels, either is nearest.
    nearest = [
        padded[np.floor(rows + 0.5 + dy).astype(int) + 600, np.floor(columns + 0.5 + dx).astype(int) + 600]
        for dx in (-0.02, 0.02)
        for dy in (-0.02, 0.02)
    ]
    assert np.logical_or.reduce([made["silhouette"] == candidate for candidate in nearest]).all()


@pytest.mark.parametrize("mirror", [False, True])
def test_a_crop_at_the_image_s_own_scale_is_a_copy(mirror):
    image = textured_image(1, 100, 90)
    place = {"center": (7 + 31.5, 9 + 31.5), "side": SHARE * 64, "size": 64}
    for suffix in (".png", ".jpg"):
        encoded = encode(image, suffix)
        decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)[9:73, 7:71]
        made = crop_one(encoded, mirror=mirror, **place)["image"]
        np.testing.assert_array_equal(made, decoded[:, ::-1] if mirror else decoded)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("extent", [150, 40000])
def test_masks_of_large_windows_are_nearest_too(extent, mirror):
    """Windows far larger than the crop, also beyond OpenCV's fixed point."""
    size = 24
    mask = np.zeros((300, 3000), np.uint8)
    mask[:, 1000:] = 255
    # So that a row of the crop meets the image.
    half = extent / size / 2
    matrix = image_to_crop((1400.0 + half, 150.0 + half), size / extent, size=size, mirror=mirror)
    made, window = np.zeros((size, size), np.uint8), bounds(matrix, size).tolist()
    crops.crop_map(SILHOUETTE, encode(mask), matrix, window, mask.shape, (), made)
    columns, rows = sources(matrix, size)
    inside = (rows >= -0.5) & (rows < 299.5) & (columns >= 999.5) & (columns < 2999.5)
    assert (made > 0).sum() == pytest.approx(inside.sum(), abs=3 * size)
    assert inside.any()


def test_a_mask_at_the_border_is_not_smeared_outwards():
    made = crop_one(
        encode(np.zeros((40, 40, 3), np.uint8)),
        encode(np.full((40, 40), 255, np.uint8)),
        center=(19.5, 19.5),
        side=SHARE * 60,
        size=120,
    )["silhouette"]
    assert made.sum() == 80 * 80
    assert made[20:100, 20:100].all()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.8])
def test_mask_and_image_go_through_the_same_map(mirror, angle):
    """A picture of its own mask: cutting the crop at half brightness gives the crop of the mask."""
    disc = np.zeros((110, 130), np.uint8)
    cv2.circle(disc, (60, 50), 30, 255, -1)
    made = crop_one(
        encode(np.repeat(disc[..., None], 3, 2)),
        encode(disc),
        center=(61.3, 53.1),
        side=77.0,
        size=224,
        mirror=mirror,
        angle=angle,
    )
    picture, mask = made["image"][..., 0], made["silhouette"]
    edge = ndimage.binary_dilation(mask > 0, iterations=2) & ~ndimage.binary_erosion(mask > 0, iterations=2)
    assert not (((picture >= 128) != (mask > 0)) & ~edge).any()
    np.testing.assert_allclose(ndimage.center_of_mass(mask), ndimage.center_of_mass(picture), atol=0.25)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    ("side", "zoom", "size"), [(0.0, 1.2, 224), (0.0, 0.8, 64), (700.0, 1.0, 224), (900.0, 1.1, 64)]
)
def test_points_stay_on_the_same_image_content(suffix, mirror, side, zoom, size):
    """A dot is found where its point is mapped to, also through every reduction."""
    height, width = (1100, 1000) if side else (190, 170)
    dot = np.array([width * 0.55, height * 0.4])
    spread = 0.03 * (side or 150)
    rows, columns = np.mgrid[:height, :width]
    blob = 255 * np.exp(-((columns - dot[0]) ** 2 + (rows - dot[1]) ** 2) / (2 * spread**2))
    encoded = encode(np.repeat(blob.astype(np.uint8)[..., None], 3, 2), suffix)
    made = crop_one(
        encoded, center=(width / 2, height / 2), side=side, zoom=zoom, size=size, mirror=mirror, angle=0.3
    )
    found = ndimage.center_of_mass(np.maximum(made["image"][..., 1].astype(float) - 8, 0))[::-1]
    np.testing.assert_allclose(found, made["image_to_crop"] @ [*dot, 1], atol=0.1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_strong_minification_does_not_alias(suffix):
    """One-pixel stripes become even grey instead of a moire."""
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    made = crop_one(encode(stripes, suffix), center=(600.0, 600.0), side=800.0, size=224)["image"]
    assert np.abs(made.astype(int) - 127).max() <= 6


@pytest.mark.parametrize("side", [25.0, 60.0, 110.0, 220.0])
@pytest.mark.parametrize("center", [(80, 80), (16, 112), (240, 280), (4080, -3920)])
def test_png_and_jpeg_agree_at_every_reduction(side, center):
    image = textured_image(3, 301, 263)  # sizes that no block divides
    png = crop_one(encode(image), center=center, side=side, size=32)["image"]
    jpeg = crop_one(encode(image, ".jpg"), center=center, side=side, size=32)["image"]
    assert np.abs(png.astype(int) - jpeg).mean() < 3


WHOLE = {"center": (24.5, 24.5), "side": SHARE * 50, "size": 50}


def test_grey_and_transparent_images_become_rgb():
    grey = textured_image(4, 50, 50)[..., 0]
    for encoded in (encode(grey), encode(grey, ".jpg")):
        made = crop_one(encoded, **WHOLE)["image"]
        assert np.abs(made.astype(int) - grey[..., None]).max() <= 3
    transparent = np.dstack([textured_image(5, 50, 50), np.full((50, 50), 7, np.uint8)])
    encoded = cv2.imencode(".png", transparent[..., [2, 1, 0, 3]])[1].tobytes()
    np.testing.assert_array_equal(crop_one(encoded, **WHOLE)["image"], transparent[..., :3])


def _cmyk_jpeg(cyan, magenta, yellow, black):
    """A baseline JPEG of one 8x8 block of one CMYK colour, written by hand: no encoder here makes them."""

    def segment(marker, body):
        return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + bytes(body)

    adobe = segment(0xEE, b"Adobe" + bytes([0, 100, 0, 0, 0, 0, 0]))
    table = segment(0xDB, [0] + [8] * 64)
    frame = [8, 0, 8, 0, 8, 4] + [byte for c in range(1, 5) for byte in (c, 0x11, 0)]
    # Categories 0-8 as codes of four bits each; the AC table knows end of block alone, as the code 0.
    dc = segment(0xC4, [0x00] + [0, 0, 0, 9] + [0] * 12 + list(range(9)))
    ac = segment(0xC4, [0x10] + [1] + [0] * 15 + [0])
    scan = segment(0xDA, [4] + [byte for c in range(1, 5) for byte in (c, 0)] + [0, 63, 0])
    bits = ""
    for value in (cyan, magenta, yellow, black):
        dc_value = value - 128  # a flat block has DC 8 * (value - 128), quantised by 8
        category = abs(dc_value).bit_length()
        coded = dc_value if dc_value > 0 else dc_value + (1 << category) - 1
        bits += f"{category:04b}" + (f"{coded:0{category}b}" if category else "") + "0"
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\x00")
    return b"\xff\xd8" + adobe + table + segment(0xC0, frame) + dc + ac + scan + data + b"\xff\xd9"


def test_cmyk_jpegs_become_rgb():
    encoded = _cmyk_jpeg(200, 100, 50, 255)  # Adobe stores inverted inks: full black means none
    made = crop_one(encoded, center=(3.5, 3.5), side=SHARE * 8, size=8)
    assert made["image_size"].tolist() == [8, 8]
    assert np.abs(made["image"].astype(int) - [200, 100, 50]).max() <= 2


def test_a_map_of_another_size_is_refused():
    encoded = encode(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"\(im1.jpg\): its silhouette has height and width 9 8, but its image 9 9",
    ):
        crop_one(encoded, encode(np.zeros((9, 8), np.uint8)), center=(4, 4), side=8.0, size=16)


def test_bytes_that_do_not_decode_are_refused():
    good = encode(textured_image(0, 40, 40), ".jpg")
    for damaged in (b"", b"no image", good[: len(good) // 4], b"\xff\xd8\xff garbage"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\(im1.jpg\): its image does not decode"):
            crop_one(damaged, **WHOLE)


def test_small_people_are_cropped_in_training_as_in_a_preview():
    """Before, the two were 2 to 3 pixels apart: by the truncated centre, whole pixels, and half a pixel more."""
    from hpe.geometry.crops import box_crop

    rng = np.random.default_rng(0)
    for x, y in rng.uniform(0, 300, (20, 2)):
        box = (x, y, 60.0, 120.0)
        center = np.array([[x + 29.5, y + 59.5]], np.float32)
        placed = moving.place(center, np.float32([120.0]), size=224, box_share=SHARE)
        corners = np.array([[x, y, 1], [x + 59, y + 119, 1]])
        ours, theirs = corners @ placed.matrix[0].T, corners @ box_crop(box, 224).image_to_crop.T
        assert np.abs(ours - theirs).max() < 0.05
