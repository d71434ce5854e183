"""The trainer: configuration, run directories, checkpoints, the compiled step, the loop, logging."""
