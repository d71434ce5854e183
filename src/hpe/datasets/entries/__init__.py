"""The flags of the package's own datasets, and how they find their files; see `hpe.datasets.registry`."""
