"""The mathematics of Xi descriptors of a few environments: Cython only."""
