"""The mathematics of the bispectrum of one environment: Cython only."""
