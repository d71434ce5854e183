"""Settings of XLA for processes that compile much and compute little."""

# Half the time of a small program is spent on making it fast.
COMPILE_QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
