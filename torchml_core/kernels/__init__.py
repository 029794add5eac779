"""The mathematics of one atom's environment, on raw pointers: Cython only, no Python objects.

Nothing here is called from Python; ``torchml_core._descriptors`` is the door.
"""
