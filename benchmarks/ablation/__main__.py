"""`python -m benchmarks.ablation --size=overfit|full`: see `benchmarks.ablation.program`."""

if __name__ == "__main__":
    from hpe.programs.startup import quiet_tensorflow

    quiet_tensorflow()
    from benchmarks.ablation import program
    from hpe.programs import flags

    program.define_flags()
    flags.run(program.main)
