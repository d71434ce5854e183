"""Pure functions for rotations, cameras and rigid alignment."""
