"""Potentials of n2p2 and RuNNer as portable models: energies by hand, and those of n2p2 itself."""

import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner
from n2p2_potentials import FUNCTIONS, HEAD, NETWORK, Potential
from requirements import shared_cases

import torchml_core as tm
from torchml_core.cli import main

BOHR, HARTREE = 0.529177210903, 27.211386245988  # CODATA 2018
UNITS = {"length_unit": "bohr", "energy_unit": "hartree"}
ATOMS = Atoms(
    "OHHO", positions=np.array([[0, 0, 0], [1.8, 0.1, 0.2], [-0.4, 1.7, -0.3], [2.0, 2.1, 3.3]])
)
ATOMS.positions *= BOHR


SCALINGS = {
    "": lambda g, low, high, mean, sigma: g,
    "center_symmetry_functions": lambda g, low, high, mean, sigma: g - mean,
    "scale_symmetry_functions": lambda g, low, high, mean, sigma: (g - low) / (high - low),
    "scale_symmetry_functions\nscale_symmetry_functions_sigma\nscale_min_short -1": (
        lambda g, low, high, mean, sigma: -1 + 2 * (g - low) / (high - low)
    ),
    "scale_symmetry_functions\ncenter_symmetry_functions\nscale_max_short_atomic 3": (
        lambda g, low, high, mean, sigma: 3 * (g - mean) / (high - low)
    ),
    "scale_symmetry_functions_sigma\nscale_min_short 1\nscale_max_short 3": (
        lambda g, low, high, mean, sigma: 1 + 2 * (g - mean) / sigma
    ),
}
RANGE = SCALINGS["scale_symmetry_functions"]


def energies(potential, model, **settings):
    """Energies of the atoms by hand, in the unit of the potential."""
    c = tm.Configuration.from_atoms(ATOMS, model.cutoff, model.species)
    values = model.descriptor.compute(c)
    return np.array(potential.energies(values, ATOMS.get_chemical_symbols(), **settings))


def check(potential, tmp_path, **settings):
    """Convert, and compare the energies of atoms with those by hand."""
    settings = {"scale": RANGE, **settings}
    model = tm.convert.n2p2(potential.write(tmp_path / "n2p2"), tmp_path / "model", **UNITS)
    p = model.evaluate(ATOMS).fold()
    expected = energies(potential, model, **settings) * HARTREE
    np.testing.assert_allclose(p.particle_energies, expected, rtol=1e-12, atol=1e-12)
    return model


# ---- what a potential may say


@pytest.mark.parametrize("scaling", SCALINGS)
def test_scaling(tmp_path, scaling):
    head = f"elements O H\ncutoff_type 2\n{scaling}\n"
    check(Potential(head), tmp_path, scale=SCALINGS[scaling])


@pytest.mark.parametrize(("hydrogen", "oxygen"), [("ts", "pr"), ("gc", "Se"), ("hl", "tp")])
def test_activations(tmp_path, hydrogen, oxygen):
    """All letters, in the hidden layers of one or the other element."""
    letters = {"H": f"{hydrogen}l", "O": f"{oxygen}l"}
    lines = [f"element_activation_short {e} {' '.join(own)}\n" for e, own in letters.items()]
    check(Potential(network=NETWORK + "".join(lines), letters=letters), tmp_path)


def test_output_activation(tmp_path):
    network = NETWORK.replace("t p l", "t p t")
    check(Potential(network=network, letters={"H": "tpt", "O": "tpt"}), tmp_path)


def test_normalize_nodes(tmp_path):
    check(Potential(HEAD + "normalize_nodes\n"), tmp_path, divide=True)


def test_energies_of_atoms_and_normalization(tmp_path):
    lines = "mean_energy -0.5\nconv_energy 12.5\nconv_length 3\natom_energy O -75.1 of the atom\n"
    model = check(
        Potential(HEAD + lines),
        tmp_path,
        energy=lambda output, element: output / 12.5 - 0.5 - 75.1 * (element == "O"),
    )
    assert model.card.reference_energies == {"O": pytest.approx(-75.1 * HARTREE, rel=1e-15)}


@pytest.mark.parametrize(
    ("lines", "nodes", "letters"),
    [
        # as in n2p2's documentation
        (
            "element_hidden_layers_short H 1\nelement_nodes_short H 5\n"
            "element_activation_short H s l\n",
            [5],
            "sl",
        ),
        ("element_nodes_short H 2 5\n", [2, 5], "tpl"),
        ("element_activation_short H s c l\n", [4, 3], "scl"),
        # n2p2 itself ignores the last hidden layer in such a line
        ("element_nodes_short H 5 7\n", [5, 3], "tpl"),
        # RuNNer has one layer in each line
        ("element_nodes_short H 1 6\n", [6, 3], "tpl"),
        ("element_nodes_short H 1 6\nelement_nodes_short H 2 2\n", [6, 2], "tpl"),
    ],
)
def test_networks_of_elements(tmp_path, lines, nodes, letters):
    """The number of weights shows how lines with several readings are meant."""
    check(Potential(network=NETWORK + lines, nodes={"H": nodes}, letters={"H": letters}), tmp_path)


def test_networks_without_global_ones(tmp_path):
    lines = "".join(
        f"element_hidden_layers_short {e} 1\nelement_nodes_short {e} 5\n"
        f"element_activation_short {e} g l\n"
        for e in "HO"
    )
    potential = Potential(network=lines, nodes={"H": [5], "O": [5]}, letters={"H": "gl", "O": "gl"})
    check(potential, tmp_path)


def test_files_of_runner(tmp_path):
    """Fewer columns, one more line, comments and words behind numbers, names, other line ends."""
    potential = Potential()
    model = check(potential, tmp_path / "as_n2p2")
    settings = potential.settings.replace("cutoff_type 2\n", "cutoff_type 2  ! tanh\n")
    settings = settings.replace("number_of_elements 2", "\tnumber_of_elements\t2 elements")
    settings = settings.replace("_short 4 3", "_short 4 3 nodes of the layers")
    settings = settings.replace(" 6.0\n", " 0.6d1   the cutoff\n")
    settings += "scale_min_short_atomic 0.0\nrunner_mode 2\nuse_short_nn\nnn_type_short 1\n"
    folder = potential.write(tmp_path / "as_runner", columns=3)
    (folder / "input.nn").write_text("\ufeff" + settings, newline="\r\n")
    with (folder / "scaling.data").open("a") as file:
        file.write("  -0.5 12.5\n")
    for name in ("weights.001.data", "weights.008.data"):
        lines = (folder / name).read_text().splitlines()[1:]
        (folder / name).write_text("".join(f"   {line.split()[0]}\n" for line in lines))
    again = tm.convert.n2p2(folder, tmp_path / "again", **UNITS)
    assert again.descriptor == model.descriptor
    assert again.card.training_range == model.card.training_range
    assert again.evaluate(ATOMS).energy == model.evaluate(ATOMS).energy


def test_no_cutoff_type_is_type_1(tmp_path):
    model = check(Potential(HEAD.replace("cutoff_type 2\n", "")), tmp_path)
    assert model.descriptor.cutoff_function == "cos"


def test_units(tmp_path):
    """Names in any case, and sizes; energies per length follow."""
    folder = Potential().write(tmp_path / "n2p2")
    units = [("Bohr", "Hartree"), (BOHR, HARTREE), ("bohr", "rydberg"), ("angstrom", "kcal/mol")]
    found = []
    for k, (length, energy) in enumerate(units):
        out = tmp_path / str(k)
        model = tm.convert.n2p2(folder, out, length_unit=length, energy_unit=energy)
        atoms = ATOMS.copy()
        if length == "angstrom":
            atoms.positions /= BOHR
        found.append(model.evaluate(atoms).fold())
    for p, energy, length in (
        (found[1], 1, 1),
        (found[2], 0.5, 1),
        (found[3], 1 / 627.5094740631, BOHR),
    ):
        np.testing.assert_allclose(p.energy, found[0].energy * energy, rtol=1e-13)
        np.testing.assert_allclose(p.forces, found[0].forces * energy * length, rtol=1e-11)


def test_training_range(tmp_path):
    """The extremes of scaling.data, not scaled, in the order of the descriptor."""
    potential = Potential()
    model = check(potential, tmp_path)
    for element, statistics in potential.statistics.items():
        found = model.card.training_range[element]
        assert found.min == tuple(statistics[:, 0])
        assert found.max == tuple(statistics[:, 1])


# ---- committees


def write_committee(folder, names):
    potentials = [Potential(seed=k) for k in range(len(names))]
    for potential, name in zip(potentials, names, strict=True):
        potential.write(folder / name)
    return potentials


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "head"),
    [
        (("nnp-1", "nnp-2", "nnp-10"), ""),
        (("", "data-1"), "committee_mode prediction\ncommittee_data data 2\n"),
        (("data-1", "data-2"), "committee_mode prediction\ncommittee_data data 2\n"),
    ],
)
def test_committee(tmp_path, names, head):
    """The mean is a model, and the members are, in their order."""
    folder = tmp_path / "n2p2"
    potentials = write_committee(folder, names)
    if head:
        folder.mkdir(exist_ok=True)
        (folder / "input.nn").write_text(potentials[0].settings + head)
    model = tm.convert.n2p2(folder, tmp_path / "model", **UNITS)
    by_hand = [energies(potential, model, scale=RANGE) * HARTREE for potential in potentials]
    p = model.evaluate(ATOMS).fold()
    np.testing.assert_allclose(p.particle_energies, np.mean(by_hand, axis=0), rtol=1e-12)
    committee = tm.Committee.load(tmp_path / "model")
    assert len(committee.models) == len(names)
    found = committee.evaluate(ATOMS)
    assert found.energy == pytest.approx(p.energy, rel=1e-13)
    for member, expected in zip(committee.models, by_hand, strict=True):
        assert member.evaluate(ATOMS).energy == pytest.approx(sum(expected), rel=1e-12)
    low, high = [[potential.statistics["O"][:, k] for potential in potentials] for k in (0, 1)]
    assert model.card.training_range["O"].min == tuple(np.max(low, axis=0))
    assert model.card.training_range["O"].max == tuple(np.min(high, axis=0))


def test_members_need_the_same_functions(tmp_path):
    write_committee(tmp_path / "n2p2", ("a-1", "a-2", "a-3"))
    settings = tmp_path / "n2p2" / "a-2" / "input.nn"
    settings.write_text(settings.read_text().replace("0.15", "0.16"))
    with pytest.raises(tm.FileFormatError, match=r"a-2/input\.nn: the symmetry functions of all"):
        tm.convert.n2p2(tmp_path / "n2p2", tmp_path / "model", **UNITS)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("committee_mode prediction\n", r"input\.nn:\d+: a line 'committee_data"),
        ("committee_mode prediction\ncommittee_data data 5\n", r"input\.nn:\d+: .*there are 2"),
        (
            "committee_mode average\ncommittee_data data 2\n",
            r"input\.nn:13: committee_mode = 'average': prediction",
        ),
        (
            "committee_mode prediction\ncommittee_data data 1\n",
            r"input\.nn:\d+: committee_data = 1: a whole",
        ),
    ],
)
def test_wrong_committees(tmp_path, line, message):
    potentials = write_committee(tmp_path / "n2p2", ("", "data-1", "data-2"))
    (tmp_path / "n2p2" / "input.nn").write_text(potentials[0].settings + line)
    with pytest.raises((tm.FileFormatError, tm.UnsupportedError), match=message):
        tm.convert.n2p2(tmp_path / "n2p2", tmp_path / "model", **UNITS)


# ---- what is refused


def refused(tmp_path, error, message):
    with pytest.raises(error, match=message):
        tm.convert.n2p2(tmp_path / "n2p2", tmp_path / "model", **UNITS)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "nnp_type 4G-HDNNP\n", r"nnp_type = '4G-HDNNP': 2 is needed"),
        ("", "nnp_generation 4\n", r"nnp_generation = '4': 2 is needed"),
        ("", "nnp_gen 3\n", r"nnp_gen = '3': 2 is needed"),
        ("", "nn_type_short 2\n", r"nn_type_short = '2': 1"),
        ("", "use_electrostatics\n", r"use_electrostatics: a potential without"),
        ("", "use_vdw\n", r"use_vdw: a potential without"),
        ("", "symfunction_electrostatic O 2 H 1 0 6\n", r"'symfunction_electrostatic' defines"),
        ("", "scale_symmetry_function\n", r"'scale_symmetry_function': a keyword of n2p2"),
        ("", "global_nodes_shrt_short 3\n", r"'global_nodes_shrt_short': a keyword of n2p2"),
        ("t p l", "t q l", r"global_activation_short = 'q': one of l t s p"),
        ("", "element_activation_short H 1 2 s\n", r"element_activation_short of single nodes"),
        (
            "",
            "element_activation_short H s s t\n",
            r"element_activation_short H: the output layer of global",
        ),
    ],
)
def test_unsupported_keywords(tmp_path, old, new, message):
    """Named with their lines."""
    potential = Potential()
    folder = potential.write(tmp_path / "n2p2")
    lines = potential.settings.splitlines(keepends=True)
    if old:
        text = potential.settings.replace(old, new)
        number = next(k for k, line in enumerate(lines, 1) if old in line)
    else:
        text, number = potential.settings + new, len(lines) + 1
    (folder / "input.nn").write_text(text)
    refused(tmp_path, tm.UnsupportedError, rf"input\.nn:{number}: {message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("global_nodes_short 4 3\n", "", r":\d+: a line 'global_nodes_short"),
        (
            "global_nodes_short 4 3",
            "global_nodes_short 4",
            r":6: global_nodes_short = '4': 2 words",
        ),
        ("_nodes_short 4 3", "_nodes_short 4 3 2", r":6: global_nodes_short = '4 3 2': 2 words"),
        ("_nodes_short 4 3", "_nodes_short 4 0", r":6: global_nodes_short = 0"),
        ("global_activation_short t p l\n", "", r":\d+: a line 'global_activation_short"),
        ("t p l", "t p", r":7: global_activation_short = 't p': 3 words"),
        ("global_hidden_layers_short 2\n", "", r":\d+: a line 'global_hidden_layers_short"),
        ("layers_short 2\n", "layers_short two\n", r":5: global_hidden_layers_short = 'two'"),
        (
            "layers_short 2\n",
            "layers_short 2\nglobal_hidden_layers_short 2\n",
            r":6: .*given twice",
        ),
        ("elements O H\n", "elements O H\nmean_energy 1\n", r":3: mean_energy: all or none"),
        (
            "elements O H\n",
            "elements O H\nmean_energy 1\nconv_energy 0\nconv_length 1\n",
            r":4: conv_energy = 0",
        ),
        (
            "elements O H",
            "elements O H\nmean_energy 1\nconv_energy 1e-320\nconv_length 1\n",
            r":4: conv_energy = 9.99989e-321: a positive number with a finite inverse is needed",
        ),
        ("elements O H\n", "elements O H\natom_energy C 1\n", r":3: atom_energy 'C': each of"),
        (
            "elements O H\n",
            "elements O H\natom_energy O 1\natom_energy O 2\n",
            r":4: atom_energy 'O': each of",
        ),
        ("elements O H\n", "elements O H\natom_energy O x\n", r":3: atom_energy = 'x'"),
        ("elements O H\n", "elements O H\nscale_max_short 0\n", r":3: scale_max_short = 0"),
        (
            "symfunction_short H 2 O 0.1 0.0 6.0\n",
            "",
            r"weights\.001\.data:\d+: 31 weights; .* 27 for 1-4-3-1",
        ),
        ("_nodes_short 4 3", "_nodes_short 4 5", r"weights\.001\.data:\d+: .*: 43 for 2-4-5-1"),
        (
            "t p l\n",
            "t p l\nelement_nodes_short H 5 5\n",
            r"31 weights; .*: 51 for 2-5-5-1 or 37 for 2-5-3-1",
        ),
        ("t p l\n", "t p l\nelement_nodes_short C 5 5\n", r":8: element_nodes_short 'C 5': one of"),
        ("t p l\n", "t p l\nelement_nodes_short H 5 5 5\n", r":8: element_nodes_short = 'H 5 5 5'"),
    ],
)
def test_wrong_settings(tmp_path, old, new, message):
    potential = Potential()
    folder = potential.write(tmp_path / "n2p2")
    assert old in potential.settings
    (folder / "input.nn").write_text(potential.settings.replace(old, new, 1))
    refused(tmp_path, tm.FileFormatError, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r":5: the file ends before row 3 of the 3 for O"),
        (lambda lines: lines[:1], r":1: the file ends before row 1 of the 2 for H"),
        (lambda lines: [*lines, "2 4 0 1 0.5 0.1"], r":7: '2 4 .*: only as many rows as functions"),
        (lambda lines: lines[:2] + lines[3:], r":3: element 2, function 1: element 1, function 2"),
        (lambda lines: [*lines[:-1], "2 3 0 1"], r":6: '2 3 0 1': the columns element"),
        (lambda lines: [*lines[:-1], "2 3 0 1 nan 1"], r":6: mean = 'nan'"),
        (lambda lines: [*lines[:-1], "2 3 1 0 1 1"], r":6: min = 1, max = 0: min <= max"),
        (lambda lines: [*lines[:-1], "2 3 1 1 1 1"], r":6: max - min = 0: more than 0"),
        (lambda lines: [*lines[:-1], "2 x 1 1 1 1"], r":6: function = 'x'"),
        (lambda lines: [*lines, "0.5 inf"], r":7: energy = 'inf'"),
    ],
)
def test_wrong_statistics(tmp_path, change, message):
    path = Potential().write(tmp_path / "n2p2") / "scaling.data"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    refused(tmp_path, tm.FileFormatError, r"scaling\.data" + message)


def test_sigma_is_needed(tmp_path):
    head = HEAD.replace("scale_symmetry_functions", "scale_symmetry_functions_sigma")
    Potential(head).write(tmp_path / "n2p2", columns=3)
    refused(tmp_path, tm.FileFormatError, r"scaling\.data:2: the column sigma is needed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r":31: 30 weights; .*: 31 for 2-4-3-1"),
        (lambda lines: [*lines, "1.0"], r":33: 32 weights; .*: 31 for 2-4-3-1"),
        (lambda lines: [*lines[:-1], "nan"], r":32: weight = 'nan'"),
        (lambda lines: [*lines[:-1], "*****"], r":32: weight = '\*\*\*\*\*'"),
        (lambda lines: [], r":1: 0 weights"),
    ],
)
def test_wrong_weights(tmp_path, change, message):
    path = Potential().write(tmp_path / "n2p2") / "weights.001.data"
    path.write_text("\n".join(change(path.read_text().splitlines())))
    refused(tmp_path, tm.FileFormatError, r"weights\.001\.data" + message)


@pytest.mark.parametrize("name", ["input.nn", "scaling.data", "weights.008.data"])
def test_missing_files(tmp_path, name):
    (Potential().write(tmp_path / "n2p2") / name).unlink()
    refused(tmp_path, tm.MissingFileError, name.replace(".", r"\."))


def test_missing_folder(tmp_path):
    refused(tmp_path, tm.MissingFileError, r"n2p2: no such folder; a potential of n2p2 is one")


def test_functions_of_an_element_are_missing(tmp_path):
    functions = [line for line in FUNCTIONS if line.startswith("O")]
    Potential(functions=functions).write(tmp_path / "n2p2")
    refused(tmp_path, tm.FileFormatError, r"input\.nn:\d+: a line 'symfunction_short H")


@pytest.mark.parametrize("unit", ["foot", "", 0, -1, np.nan, None, True])
def test_wrong_units(tmp_path, unit):
    folder = Potential().write(tmp_path / "n2p2")
    for name in UNITS:
        with pytest.raises(tm.InputError, match=name):
            tm.convert.n2p2(folder, tmp_path / "model", **(UNITS | {name: unit}))


# ---- the command


def test_command(tmp_path):
    folder = Potential().write(tmp_path / "n2p2")
    options = ["-o", str(tmp_path / "model"), "--length-unit", "bohr", "--energy-unit"]
    done = CliRunner().invoke(main, ["convert", "n2p2", str(folder), *options, str(HARTREE)])
    assert done.exit_code == 0, done.output
    assert "ElementSymmetryFunctions, cutoff 3.17506 (tanh3): 2 of H, 3 of O" in done.output
    model = tm.PortableModel.load(tmp_path / "model")
    expected = tm.convert.n2p2(folder, tmp_path / "other", **UNITS)
    assert model.evaluate(ATOMS).energy == expected.evaluate(ATOMS).energy


def test_command_with_a_wrong_unit(tmp_path):
    folder = Potential().write(tmp_path / "n2p2")
    options = ["-o", str(tmp_path / "model"), "--length-unit", "foot", "--energy-unit", "ev"]
    done = CliRunner().invoke(main, ["convert", "n2p2", str(folder), *options])
    assert done.exit_code == 1
    assert "length_unit = 'foot': angstrom, bohr, nm, pm, or a positive number" in done.stderr


# ---- n2p2 itself


POTENTIALS = {
    "H2O_RPBE-D3": ("example_12", "own_rattled_sheared_box", "own_cluster_10_molecules"),
    "mlearn_Si": ("own_rattled_sheared_box", "own_cluster_20", "own_dimer"),
    "Ethylbenzene_SCAN": ("own_molecule", "own_dimer"),
}


@pytest.mark.parametrize("name", shared_cases(tuple(POTENTIALS)))
def test_the_same_as_n2p2(shared_data, tmp_path, name):
    """Energies, forces, and what is outside of the training range, in the library and in ASE."""
    from torchml_core.ase import TorchMLCalculator

    folder = shared_data / "n2p2" / name
    model = tm.convert.n2p2(folder, tmp_path / "model", **UNITS)
    with np.load(folder / "values.npz") as arrays:
        n2p2 = {key: arrays[key] for key in arrays.files}
    for structure in POTENTIALS[name]:
        values = {key.split("/")[1]: n2p2[key] for key in n2p2 if key.startswith(structure + "/")}
        atoms = Atoms(values["symbols"].tolist(), positions=values["positions"] * BOHR)
        if "cell" in values:
            atoms.cell, atoms.pbc = values["cell"] * BOHR, True
        p = model.evaluate(atoms).fold()
        atoms.calc = TorchMLCalculator(model, extrapolation="ignore")  # counted
        forces = values["forces"] * HARTREE / BOHR
        in_ase = atoms.get_forces(), atoms.get_potential_energy()  # one calculation
        for found, energy in ((p.forces, p.energy), in_ase):
            assert abs(energy - values["energy"] * HARTREE) <= 1e-9 * len(atoms)
            assert abs(found - forces).max() <= 1e-8 * abs(forces).max()
        assert atoms.calc.extrapolations.total() == len(values["warnings"])
        outside = [[own.atom, own.component_index + 1] for own in p.extrapolation]
        assert sorted(outside) == sorted(values["warnings"][:, :2].tolist())
        network = p.particle_energies - values["atom_energies"] * HARTREE
        for element in set(values["symbols"]):  # n2p2's have no offset
            assert np.ptp(network[values["symbols"] == element]) < 1e-9
