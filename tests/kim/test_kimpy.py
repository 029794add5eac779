"""The driver from Python: kimpy, which asks for whatever a test likes, and ASE's calculator."""

import itertools
import threading

import numpy as np
import pytest
import small_models
import structures

import torchml_core as tm

MODELS = (
    "StillingerWeber_Si",
    "SymmetryFunctions_Si",
    "Graph_Si",
    "Raw_SiC",
    "Descriptor_SiC",
    "Elements_SiC",
    "Graph_SiC",
)
# KIM's names of what may be asked for, and our names
OUTPUTS = {
    "partialEnergy": "energy",
    "partialForces": "forces",
    "partialParticleEnergy": "particle_energies",
    "partialVirial": "virial",
    "partialParticleVirial": "particle_virials",
}
NOTHING = {"Graph_SiC": {"partialParticleEnergy"}}  # it returns one energy


class Calculation:
    """A model of KIM's, and arrays for one configuration of the library's."""

    def __init__(self, kimpy, name, configuration=None, *, length="A", energy="eV"):
        self.kimpy = kimpy
        accepted, self.model = kimpy.model.create(
            kimpy.numbering.zeroBased,
            getattr(kimpy.length_unit, length),
            getattr(kimpy.energy_unit, energy),
            kimpy.charge_unit.e,
            kimpy.temperature_unit.K,
            kimpy.time_unit.ps,
            name,
        )
        assert accepted
        self.arguments = self.model.compute_arguments_create()
        if configuration is not None:
            self.give(configuration)

    def set(self, name, array):
        name = getattr(self.kimpy.compute_argument_name, name)
        if array is None:
            self.arguments.set_argument_null_pointer(name)
        else:
            self.arguments.set_argument_pointer(name, array)

    def give(self, c):
        """The particles of a configuration, and all rows that the model wants."""
        self.n = np.array([c.n_particles], dtype=np.intc)
        self.positions = c.positions.copy()
        self.species = c.species.astype(np.intc)
        self.contributing = c.contributing.astype(np.intc)
        self.set("numberOfParticles", self.n)
        self.set("coordinates", self.positions)
        self.set("particleSpeciesCodes", self.species)
        self.set("particleContributing", self.contributing)
        rows = self.rows = rows_of(c, self.model.get_neighbor_list_cutoffs_and_hints()[0][0])
        name = self.kimpy.compute_callback_name.GetNeighborList
        # not a method: kimpy would keep this object alive, which keeps kimpy's
        self.arguments.set_callback(name, lambda data, cutoffs, index, k: (rows[k], 0), {})

    def compute(self, asked=tuple(OUTPUTS)):
        """What was asked for, by our names."""
        n = int(self.n[0])
        shapes = ((1,), (n, 3), (n,), (6,), (n, 6))
        found = {}
        for (name, ours), shape in zip(OUTPUTS.items(), shapes, strict=True):
            if not self.gives(name):
                continue
            found[ours] = np.full(shape, np.nan) if name in asked else None
            self.set(name, found[ours])
        self.model.compute(self.arguments)
        return {name: values for name, values in found.items() if values is not None}

    def gives(self, name):
        status = self.arguments.get_argument_support_status(
            getattr(self.kimpy.compute_argument_name, name)
        )
        return str(status) != "notSupported"


def rows_of(c, cutoff):
    """The neighbors of every particle, ghosts too, by trying all pairs; a skin of 0.3 Å."""
    distances = np.linalg.norm(c.positions[:, None] - c.positions[None], axis=-1)
    near = distances < cutoff + 0.3
    np.fill_diagonal(near, False)
    return [np.flatnonzero(row).astype(np.intc) for row in near]


def atoms_of(name):
    atoms = structures.rattled_silicon(1, seed=3)
    if name.endswith("_SiC"):
        atoms.set_cell(atoms.cell * 0.85, scale_atoms=True)
        atoms.symbols[[1, 2, 5]] = "C"
    return atoms


def configuration_of(model, name):
    """Particles in any order, ghosts among them."""
    p = model.parameters
    c = tm.Configuration.from_atoms(atoms_of(name), model.cutoff, p.species, n_layers=p.n_layers)
    return small_models.shuffled(c, seed=5)[0]


@pytest.fixture(params=MODELS)
def name(request, our_models):
    return request.param


@pytest.fixture
def model(name, our_models):
    return tm.PortableModel.load(our_models[name])


@pytest.fixture
def c(model, name):
    return configuration_of(model, name)


def as_kim(expected, ours):
    """KIM's virials are minus ours, in Voigt's order."""
    if "virial" not in ours:
        return np.asarray(getattr(expected, ours))
    virial = getattr(expected, ours)
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    return -np.stack([(virial[..., a, b] + virial[..., b, a]) / 2 for a, b in pairs], axis=-1)


def close(found, expected):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(np.squeeze(found), expected, rtol=0, atol=1e-10 * scale)


def test_every_combination_of_outputs(kimpy, name, model, c):
    calculation, expected = Calculation(kimpy, name, c), model.evaluate(c)
    given = [o for o in OUTPUTS if calculation.gives(o) and o not in NOTHING.get(name, ())]
    assert ("partialParticleVirial" in given) == (model.convention == "descriptor")
    for n in range(len(given) + 1):
        for asked in itertools.combinations(given, n):
            found = calculation.compute(asked)
            assert set(found) == {OUTPUTS[output] for output in asked}
            for ours, values in found.items():
                close(values, as_kim(expected, ours))


def test_virials(kimpy, name, c):
    calculation = Calculation(kimpy, name, c)
    found = calculation.compute(set(OUTPUTS) - NOTHING.get(name, set()))
    x, f = calculation.positions, found["forces"]
    virial = -x.T @ f
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    close(found["virial"], [virial[pair] for pair in pairs])
    np.testing.assert_allclose(virial, virial.T, rtol=0, atol=1e-10 * np.abs(virial).max())
    if "particle_virials" in found:
        close(found["particle_virials"].sum(axis=0), found["virial"])
    if "particle_energies" in found:
        close(found["particle_energies"].sum(), found["energy"][0])
        assert not found["particle_energies"][~c.contributing].any()


def test_step_after_step(kimpy, name, model, c):
    """Particles move, come and go; the driver keeps its arrays."""
    calculation = Calculation(kimpy, name, c)
    for step in range(3):
        calculation.positions += np.random.default_rng(step).normal(0, 1e-3, c.positions.shape)
        c.positions = calculation.positions.copy()
        close(calculation.compute(["partialForces"])["forces"], model.evaluate(c).forces)
    p = model.parameters
    for repeat in ((2, 1, 1), (1, 1, 1)):
        atoms = atoms_of(name) * repeat
        c = tm.Configuration.from_atoms(atoms, model.cutoff, p.species, n_layers=p.n_layers)
        calculation.give(c)
        close(calculation.compute(["partialForces"])["forces"], model.evaluate(c).forces)


def test_a_model_that_its_own_lists_ask(kimpy, our_models):
    """A simulator's lists may come from Python, where anything can be computed meanwhile."""
    name = "SymmetryFunctions_Si"
    model = tm.PortableModel.load(our_models[name])
    c, crystal = configuration_of(model, name), atoms_of(name) * (4, 1, 1)
    larger = tm.Configuration.from_atoms(crystal, model.cutoff, model.species)
    outer, inner = Calculation(kimpy, name, c), Calculation(kimpy, name)
    inner.model = outer.model
    inner.arguments = inner.model.compute_arguments_create()
    inner.give(larger)
    found = []

    def row(data, cutoffs, index, k):
        if not found:
            found.append(None)
            found[0] = inner.compute(["partialForces"])["forces"]
        return outer.rows[k], 0

    outer.arguments.set_callback(kimpy.compute_callback_name.GetNeighborList, row, {})
    close(outer.compute(["partialForces"])["forces"], model.evaluate(c).forces)
    close(found[0], model.evaluate(larger).forces)


def test_no_particle_contributes(kimpy, name, c):
    calculation = Calculation(kimpy, name, c)
    calculation.contributing[:] = 0
    found = calculation.compute()
    assert found["energy"] == 0
    for values in found.values():
        assert not values.any()


def test_refresh_and_parameters(kimpy, name, model, c, capfd):
    calculation = Calculation(kimpy, name, c)
    before = calculation.compute(["partialForces"])["forces"]
    kim = calculation.model
    assert kim.get_number_of_parameters() == 1
    kind, extent, parameter, _ = kim.get_parameter_metadata(0)
    assert (str(kind), extent, parameter) == ("Integer", 1, "n_elements")
    assert kim.get_parameter_int(0, 0) == len(model.species)
    kim.clear_then_refresh()
    assert kim.get_influence_distance() == pytest.approx(model.influence_distance, rel=1e-15)
    np.testing.assert_array_equal(calculation.compute(["partialForces"])["forces"], before)
    assert capfd.readouterr().err == ""
    kim.set_parameter(0, 0, 7)
    kim.clear_then_refresh()  # kimpy does not look whether it failed
    assert "n_elements cannot be changed" in capfd.readouterr().err
    assert kim.get_parameter_int(0, 0) == len(model.species)
    kim.clear_then_refresh()
    assert capfd.readouterr().err == ""
    np.testing.assert_array_equal(calculation.compute(["partialForces"])["forces"], before)


def test_what_kim_is_told(kimpy, name, model):
    kim = Calculation(kimpy, name).model
    cutoffs, without_ghost_rows = kim.get_neighbor_list_cutoffs_and_hints()
    assert list(cutoffs) == [model.cutoff]
    assert list(without_ghost_rows) == [model.convention != "graph"]
    assert kim.get_influence_distance() == model.influence_distance
    for symbol in ("Si", "C", "H"):
        known, code = kim.get_species_support_and_code(getattr(kimpy.species_name, symbol))
        assert bool(known) == (symbol in model.species)
        assert not known or code == model.species.index(symbol)


def test_a_model_that_is_written_can_be_read(kimpy, name, model, c, tmp_path, folder):
    (tmp_path / "written").mkdir()
    Calculation(kimpy, name).model.write_parameterized_model(str(tmp_path / "written"), "Written")
    for file in model.files:
        assert (tmp_path / "written" / file).read_bytes() == (model.folder / file).read_bytes()
    assert (tmp_path / "written" / "CMakeLists.txt").is_file()  # KIM's
    again = tm.PortableModel.load(tmp_path / "written").evaluate(c)
    np.testing.assert_array_equal(again.forces, model.evaluate(c).forces)


# So many of the simulator's units are an Å or an eV.
LENGTHS = {"A": 1.0, "Bohr": 1.8897261258, "cm": 1e-8, "m": 1e-10, "nm": 0.1}
ENERGIES = {
    "eV": 1.0,
    "Hartree": 0.036749322,
    "J": 1.602176634e-19,
    "erg": 1.602176634e-12,
    "kcal_mol": 23.0605478,
    "amu_A2_per_ps2": 9648.53321,
}


@pytest.mark.parametrize(("length", "energy"), [*itertools.product(LENGTHS, ENERGIES)])
def test_units(length, energy, kimpy, our_models):
    """Results are those of the factors that KIM has, to roundoff; these are nature's, to 1e-6."""
    name = "Descriptor_SiC"
    model = tm.PortableModel.load(our_models[name])
    c = configuration_of(model, name)
    expected = model.evaluate(c)
    calculation = Calculation(kimpy, name, c, length=length, energy=energy)
    of_length = calculation.model.get_influence_distance() / model.influence_distance
    assert of_length == pytest.approx(LENGTHS[length], rel=1e-8)
    calculation.rows[:] = rows_of(c, model.cutoff)
    calculation.positions *= of_length
    found = calculation.compute()
    of_energy = found["energy"][0] / expected.energy
    assert of_energy == pytest.approx(ENERGIES[energy], rel=1e-6)
    factors = {"forces": of_energy / of_length}
    for ours, values in found.items():
        close(values / factors.get(ours, of_energy), as_kim(expected, ours))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coordinates_must_be_finite(bad, kimpy, name, c, capfd, folder):
    calculation = Calculation(kimpy, name, c)
    calculation.positions[4, 1] = bad
    with pytest.raises(RuntimeError):
        calculation.compute()
    assert "positions: particle 4 is at [" in capfd.readouterr().err
    assert "positions: particle 4 is at [" in (folder / "kim.log").read_text()
    calculation.positions[4, 1] = c.positions[4, 1]
    calculation.compute(["partialForces"])  # it goes on


@pytest.mark.parametrize("code", [-1, 2, 2**31 - 1])
def test_species_must_be_the_model_s(code, kimpy, name, model, c, capfd):
    calculation = Calculation(kimpy, name, c)
    calculation.species[4] = code
    with pytest.raises(RuntimeError):
        calculation.compute()
    told = f"code {code} of particle 4 is none of the model's, 0 to {len(model.species) - 1}"
    assert told in capfd.readouterr().err


def test_neighbors_must_be_particles(kimpy, name, c, capfd):
    particle = int(c.centers[0])
    for beyond in (c.n_particles, -1, 2**31 - 1):
        calculation = Calculation(kimpy, name, c)
        row = calculation.rows[particle].copy()
        row[0] = beyond
        calculation.rows[particle] = row
        with pytest.raises(RuntimeError):
            calculation.compute()
        assert f"neighbors of particle {particle} are not all among" in capfd.readouterr().err


def test_shares_of_atoms_where_there_are_none(kimpy, our_models, capfd):
    model = tm.PortableModel.load(our_models["Graph_SiC"])
    calculation = Calculation(kimpy, "Graph_SiC", configuration_of(model, "Graph_SiC"))
    with pytest.raises(RuntimeError):
        calculation.compute(["partialParticleEnergy"])
    assert "returns energies of shape (1,)" in capfd.readouterr().err


# Loading silences torch's deprecations for a while, which Python does for all threads at once.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_threads(kimpy, name, model, c):
    """Models made, used and dropped in threads of Python's."""
    expected, found = model.evaluate(c).forces, {}

    def live(k):
        calculation = Calculation(kimpy, name, c)
        for _ in range(3):
            found[k] = calculation.compute(["partialForces"])["forces"]

    threads = [threading.Thread(target=live, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 3
    for forces in found.values():
        close(forces, expected)


@pytest.mark.parametrize("ase_neigh", [False, True])
def test_ase(ase_neigh, kimpy, name, model):
    """ASE's calculator; with ase_neigh its neighbor lists come from Python."""
    from ase.calculators.kim import KIM

    atoms = atoms_of(name)
    atoms.calc = KIM(name, options={"ase_neigh": ase_neigh})
    for step in range(2):
        expected = model.evaluate(atoms).fold()
        assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-13)
        close(atoms.get_forces(), expected.forces)
        close(atoms.get_stress(), expected.stress)
        atoms.rattle(0.02, seed=step)
