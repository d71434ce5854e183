"""3D human pose and shape from single images, in TensorFlow 2 / Keras 3."""

__version__ = "0.1.0"
