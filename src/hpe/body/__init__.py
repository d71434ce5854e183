"""Body models: the layer, model files read safely, and the free default body."""
