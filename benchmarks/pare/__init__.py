"""What part attention is worth when people are hidden: `python -m benchmarks.pare`."""
