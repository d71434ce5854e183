"""tf.data: records become augmented batches of fixed shape; mocap records become batches of poses."""
