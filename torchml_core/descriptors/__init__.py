"""Descriptors: the environment of each atom as a row of numbers, and their derivatives."""
