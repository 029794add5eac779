"""The mathematics of density descriptors of one environment: Cython only."""
