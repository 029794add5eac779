"""Descriptors that are chosen from the data."""
