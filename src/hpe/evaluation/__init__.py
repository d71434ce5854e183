"""Metrics of predictions, in NumPy, and how they are reported."""
