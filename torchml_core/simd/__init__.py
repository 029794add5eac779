"""Vectors as wide as the processor's: arithmetic, elementary functions, small products."""
