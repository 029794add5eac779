"""What all kernels share: the contract, the loop that calls them, neighborhoods, cutoffs.

Cython only: nothing here is called from Python but through ``torchml_core._descriptors``.
"""
