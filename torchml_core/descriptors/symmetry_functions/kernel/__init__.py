"""The mathematics of symmetry functions of one environment: Cython only."""
