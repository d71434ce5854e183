"""`python -m create_datasets --lsp=True --lsp_dir=...`: datasets to records; see `hpe.programs.create_datasets`."""

if __name__ == "__main__":
    # Worker processes import this file again: importing inside the guard spares them TensorFlow.
    from hpe.programs.startup import quiet_tensorflow

    quiet_tensorflow()
    from hpe.programs import create_datasets, flags

    create_datasets.define_flags()
    flags.run(create_datasets.main)
