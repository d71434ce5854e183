"""Parts of tools/train_body_lifter.py."""
