"""What `tools/train_body_evidence.py` is made of: the features."""
