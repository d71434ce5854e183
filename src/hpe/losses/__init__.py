"""Losses, one module per kind of evidence: pure functions of keras.ops."""
