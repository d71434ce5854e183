"""Parts of `tools/build_default_body.py`: how the free default body is made from MakeHuman's CC0 assets."""
