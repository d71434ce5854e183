"""The command-line programs: the only place that knows flags."""
