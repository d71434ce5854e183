"""The settings of the original's report on the same data, seeds and steps: `python -m benchmarks.ablation`."""
