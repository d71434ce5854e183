"""`python -m create_datasets --lsp=True --lsp_dir=...`: datasets to records; see `hpe.programs.create_datasets`."""

if __name__ == "__main__":
    # Worker processes import this file again: importing inside the guard spares them everything.
    from hpe.programs.cli import run

    run("create-datasets")
