"""Descriptors: the surroundings of each atom as a row of numbers, and their derivatives."""
