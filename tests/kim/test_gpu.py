"""Two ranks of LAMMPS on one device; on the processor it is what other tests do, too."""

import numpy as np
import pytest
from ase.io.lammpsdata import write_lammps_data
from devices import DEVICES
from simulators import lammps
from structures import rattled_silicon

import torchml_core as tm

INPUT = """
kim           init {model} metal
atom_modify   map array
read_data     silicon.data
kim           interactions Si
thermo_style  custom step pe
thermo_modify format float %.17g
dump          all all custom 1 forces id fx fy fz
dump_modify   all format float %.17g
run           0
"""


@pytest.mark.parametrize("name", ["StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si"])
@pytest.mark.parametrize("device", DEVICES)
def test_two_ranks_on_one_device(device, name, our_models, lmp, mpirun, tmp_path):
    atoms = rattled_silicon((2, 2, 1), seed=3)
    write_lammps_data(tmp_path / "silicon.data", atoms, masses=True)
    environment = {"KIM_MODEL_EXECUTION_DEVICE": device}
    done = lammps(INPUT.format(model=name), tmp_path, 2, environment=environment, timeout=120)
    (table,), forces = done.good().thermo(), done.dump("forces")
    expected = tm.PortableModel.load(our_models[name], device="cpu").evaluate(atoms).fold()
    assert table["PotEng"][0] == pytest.approx(expected.energy, rel=1e-11)
    found = np.stack([forces[column] for column in ("fx", "fy", "fz")], axis=-1)
    np.testing.assert_allclose(found, expected.forces, rtol=0, atol=1e-9)
