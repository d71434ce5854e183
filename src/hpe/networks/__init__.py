"""Backbones, regressors and critics: Keras models and layers only."""
