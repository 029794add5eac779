"""Cell lists in C: lattices, grids of points, pairs of one cell. No Python objects."""
