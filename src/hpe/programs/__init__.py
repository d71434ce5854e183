"""The command-line programs: the only place that knows flags."""

import os

# TensorFlow greets with notes about the processor on stderr; its errors still come as exceptions. It reads the
# variable once, when first imported, so this must come before the programs' own imports.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
