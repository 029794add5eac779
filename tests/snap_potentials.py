"""Made-up SNAP potentials of two elements, and a structure for them."""

import numpy as np
from ase.build import bulk

RADII, WEIGHTS = {"W": 2.1, "Be": 1.7}, {"W": 1.0, "Be": 0.6}
SETTINGS = {"rcutfac": "1.1", "twojmax": "3", "rfac0": "0.97", "bzeroflag": "1"}


def write_potential(folder, name="x", n_values=8, quadratic=False, **settings):
    """Write a potential of W and Be with random coefficients; return the path of the first file."""
    n = 1 + n_values + (n_values * (n_values + 1) // 2 if quadratic else 0)
    generator = np.random.default_rng(4)
    lines = ["# CITATION: A. Author, Journal 1, 2 (2003)", f"2 {n}"]
    for element, radius in RADII.items():
        lines.append(f"{element} {radius} {WEIGHTS[element]}")
        lines += [repr(float(x)) for x in generator.normal(size=n) / 5]
    path = folder / f"{name}.snapcoeff"
    path.write_text("\n".join(lines))
    settings = SETTINGS | {"quadraticflag": int(quadratic)} | settings
    texts = [f"{key} {value}" for key, value in settings.items() if value is not None]
    path.with_suffix(".snapparam").write_text("\n".join(texts))
    return path


def beryllide():
    """Both elements, in a tilted cell, some of them close."""
    atoms = bulk("W", cubic=True, a=3.2) * (2, 2, 2)
    atoms.symbols[[0, 3, 5, 6, 9, 14]] = "Be"
    atoms.set_cell([[6.4, 0, 0], [0.8, 6.2, 0], [-0.5, 0.7, 6.6]], scale_atoms=True)
    atoms.rattle(0.15, seed=8)
    return atoms
