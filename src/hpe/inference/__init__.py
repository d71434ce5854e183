"""From images to predictions: the predictor, image and video sources, the way back into the original frame."""
