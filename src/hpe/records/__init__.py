"""TFRecord files of people and of motion capture: their schema, sharded writing, manifests, verification."""
