"""What Keras lacks: one implementation per backend, and compilation."""
