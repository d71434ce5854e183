"""Stands in for HRNet with all its branches, where tests do not depend on what it computes."""

import keras
from keras import layers


def cheap_hrnet(width, *, image_size, multi_scale=False, coarsest=False, dtype="float32"):
    """Four branches of strided convolutions, as `hpe.networks.hrnet` has them, or the coarsest alone."""
    images = keras.Input((image_size, image_size, 3), name="images")
    x, branches = layers.Rescaling(1 / 255)(images), []
    for branch in range(4):
        stride = 4 if branch == 0 else 2
        x = layers.Conv2D(width * 2**branch, stride, strides=stride, name=f"branch{branch}")(x)
        branches.append(layers.BatchNormalization(name=f"norm{branch}")(x))
    if coarsest:
        return keras.Model(images, branches[-1], name="encoder")
    return keras.Model(images, branches if multi_scale else branches[0], name="backbone")
