import functools

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from hpe.pipeline import augmentation, crops
from hpe.pipeline.augmentation import Placement
from tests.pipeline.people import encode, textured_image


def _placement(corner, extent, mirror=False, reduction=1):
    return Placement(
        tf.constant(corner), tf.constant(extent), tf.constant(reduction), tf.constant(bool(mirror))
    )


def _source_pixels(placement, size):
    """Rows and columns of the image under the centres of the crop's pixels, from the documented map."""
    zoom = size / placement.extent.numpy()
    steps = (np.arange(size) + 0.5) / zoom - 0.5
    x0, y0 = placement.corner.numpy()
    columns = steps[::-1] if placement.mirror.numpy() else steps
    return y0 + steps, x0 + columns


def _crop(encoded, mask, placement, size):
    """The crop of one image, through a batch of two of which the other must not matter."""
    other = encode(textured_image(9, 30, 40))
    batch = Placement(*(value if value is None else tf.stack([value, value]) for value in placement))
    # Inside a graph, as in tf.data: that is where Python's errors become TensorFlow's.
    crop = tf.function(functools.partial(crops.crop_people, size=size), autograph=False)
    images, silhouettes, shapes = crop(
        tf.constant([other, encoded]),
        tf.constant([b"", mask]),
        batch,
        names=tf.constant(["other", "im1.jpg"]),
    )
    return images[1], silhouettes[1], shapes[1]


def _crop_image(encoded, placement, size):
    image, silhouette, shape = _crop(encoded, b"", placement, size)
    assert not silhouette.numpy().any()
    return image, shape


def _crop_mask(mask, placement, size, encoded=None):
    encoded = encode(mask) if encoded is None else encoded
    image = encode(np.zeros((*mask.shape, 3), np.uint8))
    return _crop(image, encoded, placement, size)[1].numpy()


PLACEMENTS = [
    _placement((10, 20), 60),
    _placement((10, 20), 60, mirror=True),
    _placement((-40, -13), 150),  # beyond the image on all sides
    _placement((-40, -13), 150, mirror=True),
    _placement((70, 60), 90),
    _placement((-100, 0), 120, mirror=True),
    _placement((200, 300), 50),  # all outside
    _placement((-300, -200), 50, mirror=True),
]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("size", [64, 150])
def test_image_is_bilinear_and_repeats_its_border(placement, suffix, size):
    encoded = encode(textured_image(0, 120, 97), suffix)
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    actual, shape = _crop_image(encoded, placement, size)
    assert shape.numpy().tolist() == [120, 97]
    assert actual.dtype == tf.uint8
    actual = actual.numpy().astype(float)
    rows, columns = np.meshgrid(*_source_pixels(placement, size), indexing="ij")
    expected = np.stack(
        [
            ndimage.map_coordinates(image[..., c].astype(float), [rows, columns], order=1, mode="nearest")
            for c in range(3)
        ],
        axis=-1,
    )
    # The outermost pixels know no source pixel, and of a JPEG no colour, beyond the window.
    edge = int(np.ceil(2 * size / placement.extent.numpy()))
    inner = slice(edge, -edge)
    assert np.abs(actual[inner, inner] - expected[inner, inner]).max() <= 1.01
    assert np.abs(actual - expected).max() <= 25  # neighbouring pixels differ by as much


def test_jpegs_decode_as_in_opencv():
    encoded = encode(textured_image(2, 64, 64), ".jpg")
    crop, _ = _crop_image(encoded, _placement((0, 0), 64), 64)
    expected = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(crop, expected)


def test_a_window_of_the_crop_size_is_a_copy():
    image = textured_image(1, 100, 90)
    crop, _ = _crop_image(encode(image), _placement((7, 9), 64), 64)
    np.testing.assert_array_equal(crop, image[9:73, 7:71])
    mirrored, _ = _crop_image(encode(image), _placement((7, 9), 64, True), 64)
    np.testing.assert_array_equal(mirrored, image[9:73, 7:71][:, ::-1])


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("size", [64, 150])
def test_mask_is_nearest_and_has_background_outside(placement, size):
    mask = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (120, 97))
    padded = np.pad(mask > 0, 600)
    nearest = []
    # Where a crop pixel lies on the edge of two source pixels, either is nearest.
    for nudge in (-1e-6, 1e-6):
        rows, columns = (np.floor(c + 0.5 + nudge).astype(int) for c in _source_pixels(placement, size))
        nearest += [(rows + 600, columns + 600)]
    candidates = [padded[np.ix_(rows, columns)] for rows, _ in nearest for _, columns in nearest]
    crop = _crop_mask(mask, placement, size)
    assert np.logical_or.reduce([crop == candidate for candidate in candidates]).all()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("extent", [150, 32767, 40000])
def test_masks_of_large_windows_are_nearest_too(extent, mirror):
    """Windows far larger than the crop, also beyond OpenCV's fixed point, are those of exact integers."""
    size = 24
    mask = np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (300, 3000))
    steps = (2 * np.arange(size) + 1) * extent // (2 * size)
    left, top = -extent // 3, 100 - int(steps[12])
    rows, columns = top + steps, left + steps
    inside = ((rows >= 0) & (rows < 300))[:, None] & ((columns >= 0) & (columns < 3000))
    expected = inside & (mask[np.ix_(rows.clip(0, 299), columns.clip(0, 2999))] > 0)
    expected = expected[:, ::-1] if mirror else expected
    assert expected.any()
    crop = np.zeros((size, size), np.uint8)
    crops._crop_mask(mask, left, top, extent, mirror, crop)
    np.testing.assert_array_equal(crop, expected)


def test_a_mask_at_the_border_is_not_smeared_outwards():
    crop = _crop_mask(np.full((40, 40), 255, np.uint8), _placement((-10, -10), 60), 120)
    assert crop.sum() == 80 * 80
    assert crop[20:100, 20:100].all()


@pytest.mark.parametrize("mirror", [False, True])
def test_mask_and_image_go_through_the_same_map(mirror):
    """A picture of its own mask: cutting the crop at half brightness gives the crop of the mask."""
    disc = np.zeros((110, 130), np.uint8)
    cv2.circle(disc, (60, 50), 30, 255, -1)
    placement = _placement((13, 5), 97, mirror)
    image, _ = _crop_image(encode(np.repeat(disc[..., None], 3, 2)), placement, 224)
    mask = _crop_mask(disc, placement, 224)
    different = (image.numpy()[..., 0] >= 128) != (mask > 0)
    edge = ndimage.binary_dilation(mask > 0, iterations=2) & ~ndimage.binary_erosion(mask > 0, iterations=2)
    assert not (different & ~edge).any()
    ours, theirs = ndimage.center_of_mass(mask), ndimage.center_of_mass(image.numpy()[..., 0])
    np.testing.assert_allclose(ours, theirs, atol=0.1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    ("scale", "zoom", "size"), [(0.0, 1.2, 224), (0.0, 0.8, 64), (700.0, 1.0, 224), (900.0, 1.1, 64)]
)
def test_joints_stay_on_the_same_image_content(suffix, mirror, scale, zoom, size):
    """A dot drawn at a joint is found where the joint is mapped to, also through every reduction."""
    height, width = (1100, 1000) if scale else (190, 170)
    dot = np.array([width * 0.55, height * 0.4])
    spread = 0.03 * (scale or 150)
    rows, columns = np.mgrid[:height, :width]
    blob = 255 * np.exp(-((columns - dot[0]) ** 2 + (rows - dot[1]) ** 2) / (2 * spread**2))
    jitter = augmentation.Jitter(tf.constant([9.0, -14.0]), tf.constant(zoom), tf.constant(mirror))
    center = tf.constant([width / 2, height / 2])
    placement = augmentation.place(center, tf.constant(scale), jitter, size=size)
    if scale:
        assert placement.reduction.numpy() > 1
    encoded = encode(np.repeat(blob.astype(np.uint8)[..., None], 3, 2), suffix)
    crop, _ = _crop_image(encoded, placement, size)
    found = ndimage.center_of_mass(np.maximum(crop.numpy()[..., 1].astype(float) - 8, 0))[::-1]
    joint = augmentation.points_to_crop(tf.constant(dot[None].astype(np.float32)), placement, size=size)
    np.testing.assert_allclose(found, joint[0], atol=0.1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_strong_minification_does_not_alias(suffix):
    """One-pixel stripes become even grey instead of a moire."""
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    placement = augmentation.place(
        tf.constant([[600.0, 600.0]]), tf.constant([800.0]), augmentation.no_jitter(1), size=224
    )
    placement = Placement(*(values[0] for values in placement[:4]))
    crop, _ = _crop_image(encode(stripes, suffix), placement, 224)
    assert np.abs(crop.numpy().astype(int) - 127).max() <= 6


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
@pytest.mark.parametrize("corner", [(0, 0), (-64, 32), (160, 200), (4000, -4000)])
def test_png_and_jpeg_agree_at_every_reduction(reduction, corner):
    image = textured_image(3, 301, 263)  # sizes that no block divides
    placement = _placement(corner, 160, reduction=reduction)
    png, _ = _crop_image(encode(image), placement, 32)
    jpeg, _ = _crop_image(encode(image, ".jpg"), placement, 32)
    assert np.abs(png.numpy().astype(int) - jpeg.numpy()).mean() < 3


def test_grey_and_transparent_images_become_rgb():
    grey = textured_image(4, 50, 50)[..., 0]
    for encoded in (encode(grey), encode(grey, ".jpg")):
        crop, _ = _crop_image(encoded, _placement((0, 0), 50), 50)
        assert np.abs(crop.numpy().astype(int) - grey[..., None]).max() <= 3
    transparent = np.dstack([textured_image(5, 50, 50), np.full((50, 50), 7, np.uint8)])
    encoded = cv2.imencode(".png", transparent[..., [2, 1, 0, 3]])[1].tobytes()
    crop, _ = _crop_image(encoded, _placement((0, 0), 50), 50)
    np.testing.assert_array_equal(crop, transparent[..., :3])


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
    crop, shape = _crop_image(encoded, _placement((0, 0), 8), 8)
    assert shape.numpy().tolist() == [8, 8]
    assert np.abs(crop.numpy().astype(int) - [200, 100, 50]).max() <= 2


def test_masks_from_jpeg_are_cut_in_the_middle():
    mask = np.zeros((64, 64), np.uint8)
    mask[16:40, 8:32] = 255
    noisy = cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    crop = _crop_mask(mask, _placement((0, 0), 64), 64, encoded=noisy)
    assert set(np.unique(crop)) == {0, 1}
    assert (crop != (mask > 0)).mean() < 0.01


def test_no_mask_is_zeros():
    crop = _crop_mask(np.zeros((9, 9), np.uint8), _placement((0, 0), 9), 16, encoded=b"")
    assert crop.shape == (16, 16)
    assert not crop.any()


def test_a_mask_of_another_size_is_refused():
    mask = np.zeros((9, 9), np.uint8)
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"\(im1.jpg\): its mask has height and width 9 8, but its image 9 9",
    ):
        _crop_mask(mask, _placement((0, 0), 9), 16, encoded=encode(np.zeros((9, 8), np.uint8)))


def test_bytes_that_do_not_decode_are_refused():
    good = encode(textured_image(0, 40, 40), ".jpg")
    for damaged in (b"", b"no image", good[: len(good) // 4], b"\xff\xd8\xff garbage"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\(im1.jpg\): its image does not decode"):
            _crop_image(damaged, _placement((0, 0), 40), 40)
