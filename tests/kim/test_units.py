"""Every unit system of LAMMPS that the KIM-API converts to, against eV and Å."""

import itertools

import numpy as np
import pytest
import structures
from ase.calculators.lammps import convert
from ase.io.lammpsdata import write_lammps_data
from simulators import lammps

SYSTEMS = ("metal", "real", "si", "cgs", "electron")
QUANTITIES = {
    "energy": ("PotEng", "c_energies"),
    "force": ("fx", "fy", "fz"),
    "pressure": ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy"),
}
# LAMMPS's own default for the skin is 1 mm in SI units, with as many ghosts.
ONE = """
clear
kim           init {model} {system}
atom_modify   map array
neighbor      {skin} bin
read_data     {system}.data
kim           interactions Si
compute       energies all pe/atom
thermo_style  custom step pe pxx pyy pzz pyz pxz pxy
thermo_modify format float %.17g
dump          all all custom 1 {system}.dump id fx fy fz c_energies
dump_modify   all format float %.17g
run           0
"""


@pytest.mark.parametrize("model", ["StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si"])
def test_units_of_lammps(model, our_models, lmp, tmp_path):
    """ASE's factors are of CODATA 2014, those of the KIM-API and of LAMMPS of other years.

    Measured: energies and forces differ by 8e-7 in kcal/mol, 1e-7 in joules and 6e-8 in hartrees. A
    Bohr differs by 8e-10, a strain that shifts pressures by that much of the moduli (150 GPa).
    """
    atoms = structures.rattled_silicon(1, seed=8)
    text = ""
    for system in SYSTEMS:
        write_lammps_data(tmp_path / f"{system}.data", atoms, masses=True, units=system)
        skin = convert(1.0, "distance", "metal", system)
        text += ONE.format(model=model, system=system, skin=skin)
    done = lammps(text, tmp_path).good()
    found = {
        system: {**table, **done.dump(f"{system}.dump")}
        for system, table in zip(SYSTEMS, done.thermo(), strict=True)
    }
    for system, (kind, columns) in itertools.product(SYSTEMS, QUANTITIES.items()):
        for column in columns:
            values = convert(found["metal"][column], kind, "metal", system)
            atol = 1e-6 * np.abs(values).max()
            if kind == "pressure":
                atol += 1e-9 * convert(1.5e6, kind, "metal", system)  # bar
            np.testing.assert_allclose(found[system][column], values, rtol=0, atol=atol)


DYNAMICS = """
clear
kim           init SymmetryFunctions_Si {system}
atom_modify   map array
neighbor      {skin} bin
read_data     {system}.data
kim           interactions Si
thermo        5
thermo_style  custom step pe ke etotal
thermo_modify format float %.15g
velocity      all create 600 4711
timestep      {timestep}
fix           ensemble all nve
run           20
"""


@pytest.mark.parametrize("system", ["real", "electron"])
def test_dynamics_in_other_units(system, our_models, lmp, tmp_path):
    atoms = structures.rattled_silicon(1, seed=8)
    text = ""
    for each in ("metal", system):
        write_lammps_data(tmp_path / f"{each}.data", atoms, masses=True, units=each)
        skin, timestep = (
            convert(1.0, "distance", "metal", each),
            convert(0.001, "time", "metal", each),
        )
        text += DYNAMICS.format(system=each, skin=skin, timestep=timestep)
    metal, other = lammps(text, tmp_path).good().thermo()
    for column in ("PotEng", "KinEng", "TotEng"):
        values = convert(metal[column], "energy", "metal", system)
        np.testing.assert_allclose(other[column], values, rtol=1e-5)
