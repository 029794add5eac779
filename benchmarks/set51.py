"""The 51 symmetry functions of the benchmarks: 8 g2 and 43 g4, cutoff 5 Å."""

import torchml_core as tm

CUTOFF = 5.0
PER_SQUARE_BOHR = 1 / 0.529177**2
G2 = [[eta * PER_SQUARE_BOHR, 0.0] for eta in (0.001, 0.01, 0.02, 0.035, 0.06, 0.1, 0.2, 0.4)]
G4 = [
    *([zeta, lam, eta] for eta in (0.0001, 0.003, 0.008) for zeta in (1, 2) for lam in (-1, 1)),
    *(
        [zeta, lam, eta]
        for eta in (0.015, 0.025, 0.045, 0.08)
        for zeta in (1, 2, 4, 16)
        for lam in (-1, 1)
    ),
][:-1]
G4 = [[zeta, lam, eta * PER_SQUARE_BOHR] for zeta, lam, eta in G4]


def set51():
    """Return the descriptor, for silicon."""
    return tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", G2), ("g4", G4)])
