"""Human3.6M in its four public layouts."""
