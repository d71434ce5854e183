"""Tests of `hpe.app`."""
