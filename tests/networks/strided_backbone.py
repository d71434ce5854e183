"""A backbone in HRNet's place: features of a quarter of the size from one convolution, at once built and run."""

import keras
from keras import layers


def strided_backbone(width, *, image_size, multi_scale=False, dtype="float32"):
    """Takes the arguments of `hpe.networks.hrnet.build_hrnet`; there is one branch."""
    assert not multi_scale
    images = keras.Input((image_size, image_size, 3), dtype="float32")
    x = layers.Rescaling(1 / 255, dtype=dtype)(images)
    x = layers.Conv2D(width, 4, strides=4, dtype=dtype)(x)
    x = layers.ReLU(dtype=dtype)(layers.BatchNormalization(dtype=dtype)(x))
    return keras.Model(images, x, name="backbone")
