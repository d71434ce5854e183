"""Measurements: slow, or in need of datasets, and therefore not tests."""
