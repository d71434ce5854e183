"""One convolution in the place of a backbone or an encoder, at once built and run."""

import keras
from keras import layers


def strided_backbone(width, *, image_size, multi_scale=False, dtype="float32"):
    """Features of a quarter of the size. Takes the arguments of `hpe.networks.hrnet.build_hrnet`."""
    assert not multi_scale
    images = keras.Input((image_size, image_size, 3), dtype="float32")
    x = layers.Rescaling(1 / 255, dtype=dtype)(images)
    x = layers.Conv2D(width, 4, strides=4, dtype=dtype)(x)
    x = layers.ReLU(dtype=dtype)(layers.BatchNormalization(dtype=dtype)(x))
    return keras.Model(images, x, name="backbone")


def strided_encoder(name, *, image_size, weights, batch_norm_momentum=None, dtype="float32"):
    """Takes the arguments of `hpe.networks.backbones.build_encoder`; there are 8 features."""
    backbone = strided_backbone(8, image_size=image_size, dtype=dtype)
    return keras.Model(backbone.input, layers.GlobalAveragePooling2D()(backbone.output), name="encoder")
