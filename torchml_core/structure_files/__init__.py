"""Structures from files, one at a time: errors in one do not affect the others."""
