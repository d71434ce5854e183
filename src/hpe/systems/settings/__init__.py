"""Settings of systems and their entries in the registry: what a help or a run's file needs, without Keras."""
