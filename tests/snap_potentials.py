"""Made-up SNAP potentials, and reference data of published ones."""

import numpy as np

import torchml_core as tm

PARAM = """\
# required
rcutfac 2.4
twojmax 3

# optional
rfac0 0.98  # of pi
rmin0 0.0
bzeroflag 1
quadraticflag 0
"""
RADII = {"W": 0.9, "Be": 0.7}
WEIGHTS = {"W": 1.0, "Be": 0.6}


def n_coefficients(param, n_elements):
    """The number of coefficients of a potential with these settings."""
    words = dict(line.split("#")[0].split()[:2] for line in param.splitlines() if line.split("#")[0].strip())
    width = tm.Bispectrum(["H"], 3.0, int(words["twojmax"])).width
    if words.get("chemflag") == "1":
        width *= n_elements**3
    return 1 + width + (width * (width + 1) // 2 if words.get("quadraticflag") == "1" else 0)
