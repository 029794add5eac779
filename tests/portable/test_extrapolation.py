"""Values outside of the training range: the same as in n2p2; counted, shown, or errors."""

import json
import pickle
import re
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner
from small_models import CUTOFF, ElementNet, shuffled

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator
from torchml_core.cli import main
from torchml_core.portable.extrapolation import (
    TOLERANCE,
    ExtrapolationMonitor,
    TrainingLimits,
)

SPECIES = ["Si", "C"]


# ---- against n2p2


def n2p2_limits(folder, descriptor):
    """The ranges in scaling.data, by element."""
    rows = [line.split() for line in (folder / "scaling.data").read_text().splitlines()]
    rows = [[float(x) for x in row] for row in rows if row and row[0].isdigit() and len(row) == 6]
    return TrainingLimits(
        descriptor,
        {
            element: np.array([row[2:4] for row in rows if row[0] == number]).T
            for number, element in enumerate(descriptor.species, start=1)
        },
    )


@pytest.mark.parametrize("potential", ["mlearn_Si", "H2O_RPBE-D3", "Ethylbenzene_SCAN"])
def test_lists_are_those_of_n2p2(potential, shared_data):
    folder = shared_data / "n2p2" / potential
    unit = json.loads((folder.parent / "manifest.json").read_text())["potentials"][potential]
    unit = unit["length_unit_in_Angstrom"]
    descriptor = tm.read_n2p2(folder / "input.nn", length_unit=unit)
    limits, data = n2p2_limits(folder, descriptor), np.load(folder / "values.npz")
    n_warnings = 0
    for name in {key.partition("/")[0] for key in data} - {"order"}:
        cell = data[f"{name}/cell"] * unit if f"{name}/cell" in data else None
        positions = data[f"{name}/positions"] * unit
        atoms = Atoms(data[f"{name}/symbols"], positions=positions, cell=cell, pbc=cell is not None)
        c = tm.Configuration.from_atoms(atoms, descriptor.cutoff, descriptor.species)
        outside = limits.outside(c, descriptor.compute(c))
        found = [outside.record(n) for n in range(len(outside))]
        expected = data[f"{name}/warnings"]
        assert [(r.atom, r.component_index + 1) for r in found] == sorted(
            map(tuple, expected[:, :2].tolist())
        )
        n_warnings += len(found)
        for record in found[::37]:
            own = descriptor.element_labels[atoms.symbols[record.atom]]
            assert record.component == own[record.component_index]
            least, most = record.range
            assert not least - TOLERANCE <= record.value <= most + TOLERANCE
    assert n_warnings > 100


# ---- a model of two elements


def descriptor():
    return tm.SymmetryFunctions(SPECIES, CUTOFF, [("g2", [[0.1, 0.0], [0.5, 0.0], [0.3, 1.5]])])


def carbide():
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.rattle(0.1, seed=6)
    return atoms


def ranges_of(structures):
    """The smallest and largest values of each element."""
    d = descriptor()
    found = {}
    for element in SPECIES:
        rows = [
            d.compute(tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES))[atoms.symbols == element]
            for atoms in structures
        ]
        values = np.concatenate(rows)[:, : d.n_values(element)]
        found[element] = {"min": list(values.min(axis=0)), "max": list(values.max(axis=0))}
    return found


def create(folder, training_range, seed=None):
    network = ElementNet(2, 3)
    if seed is not None:
        network.last.data += seed
    return tm.PortableModel.create(
        folder,
        model=network,
        species=SPECIES,
        descriptor=descriptor(),
        training_range=training_range,
    )


def narrowed():
    """Ranges that exclude the largest value of two components of Si and of the one of C."""
    d, atoms = descriptor(), carbide()
    values = d.compute(tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES))
    ranges, expected = ranges_of([atoms]), []
    for own in ranges.values():  # beyond what rounded positions change
        own["min"], own["max"] = np.array(own["min"]) - 1e-5, np.array(own["max"]) + 1e-5
    for element, component in (("Si", 0), ("Si", 2), ("C", 0)):
        own = np.flatnonzero(atoms.symbols == element)
        atom = own[values[own, component].argmax()]
        ranges[element]["max"][component] -= 2e-5
        least_and_most = tuple(ranges[element][key][component] for key in ("min", "max"))
        label = d.labels[component]
        expected.append((atom, label, pytest.approx(values[atom, component]), least_and_most))
    return ranges, sorted(expected, key=lambda record: record[0])


def test_records(tmp_path):
    ranges, expected = narrowed()
    model, atoms = create(tmp_path / "model", ranges), carbide()
    p = model.evaluate(atoms)
    assert p.extrapolation == expected
    assert [r.element for r in p.extrapolation] == [atoms.symbols[r[0]] for r in expected]
    atom, component, value, (least, most) = p.extrapolation[0]
    close = tm.Extrapolation(2, "g2", 0.25 + 1e-9, (0.0, 0.25), 0, "C")
    assert str(close) == (
        "atom 2 (C): g2 = 0.250000001, outside of the training range from 0 to 0.25"
    )
    assert str(p.extrapolation[0]) == (
        f"atom {atom} ({atoms.symbols[atom]}): {component} = {value:.8g}, outside of the training "
        f"range from {least:.8g} to {most:.8g}"
    )
    again = pickle.loads(pickle.dumps(p.extrapolation))
    assert again == p.extrapolation
    assert vars(again[0]) == vars(p.extrapolation[0])
    energy_only = model.evaluate(atoms, forces=False, virial=False)
    assert energy_only.extrapolation == expected
    loaded = tm.PortableModel.load(tmp_path / "model")
    assert loaded.evaluate(atoms).extrapolation == expected


def test_particles_in_any_order_and_atoms_after_fold(tmp_path):
    ranges, expected = narrowed()
    model = create(tmp_path / "model", ranges)
    c, order = shuffled(tm.Configuration.from_atoms(carbide(), CUTOFF, SPECIES))
    p = model.evaluate(c)
    assert sorted(order[record.atom] for record in p.extrapolation) == [r[0] for r in expected]
    atoms = order[c.contributing]
    assert sorted(atoms[r.atom] for r in p.fold().extrapolation) == [r[0] for r in expected]
    assert p.fold().fold().extrapolation == p.fold().extrapolation


def test_limits_are_within_and_the_tolerance_is_n2p2s(tmp_path):
    d = tm.SymmetryFunctions(["Si"], 5.0, [("g2", [[0.1, 0.0], [0.4, 0.0]])])
    c = tm.Configuration.from_atoms(bulk("Si"), 5.0)
    values = np.full((2, 2), 0.25)
    for change, n in ((0, 0), (2e-13, 0), (2.4e-13, 2)):
        below = TrainingLimits(d, {"Si": ([0.25 + change, 0.0], [1.0, 1.0])})
        above = TrainingLimits(d, {"Si": ([0.0, 0.0], [1.0, 0.25 - change])})
        assert len(below.outside(c, values)) == len(above.outside(c, values)) == n


def test_rounding_of_large_values_is_not_extrapolation():
    """Training data has values at the limits, and n2p2 adds them up in another order."""
    d = tm.SymmetryFunctions(["Si"], 5.0, [("g2", [[0.1, 0.0]])])
    c = tm.Configuration.from_atoms(bulk("Si"), 5.0)
    limits = TrainingLimits(d, {"Si": ([-1000.0], [3000.0])})
    values = np.array([[-1000.0 * (1 + 5e-15)], [3000.0 * (1 + 5e-15)]])
    assert len(limits.outside(c, values)) == 0
    values = np.array([[-1000.0 * (1 + 2e-14)], [3000.0 * (1 + 2e-14)]])
    assert len(limits.outside(c, values)) == 2


def test_normalized_descriptors_have_ranges_of_raw_values():
    plain = tm.SymmetryFunctions(["Si"], 5.0, [("g2", [[0.1, 0.0], [0.4, 0.0]])])
    normalized = tm.SymmetryFunctions(
        ["Si"], 5.0, [("g2", [[0.1, 0.0], [0.4, 0.0]])], mean=[1.0, 2.0], std=[0.5, 3.0]
    )
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    c = tm.Configuration.from_atoms(atoms, 5.0)
    values = plain.compute(c)
    middle = np.median(values, axis=0)
    ranges = {"Si": (middle - 1e-3, middle)}
    one, other = (TrainingLimits(d, ranges).outside(c, d.compute(c)) for d in (plain, normalized))
    assert len(one) > 4
    np.testing.assert_array_equal(one.atoms, other.atoms)
    np.testing.assert_array_equal(one.components, other.components)
    np.testing.assert_allclose(other.values, one.values, rtol=1e-12)


def test_elements_and_models_without_ranges(tmp_path):
    ranges, expected = narrowed()
    model = create(tmp_path / "silicon", {"Si": ranges["Si"]})
    found = model.evaluate(carbide()).extrapolation
    assert found == [record for record in expected if carbide().symbols[record[0]] == "Si"]
    assert (
        create(tmp_path / "inside", ranges_of([carbide()])).evaluate(carbide()).extrapolation == []
    )
    p = create(tmp_path / "unknown", None).evaluate(carbide())
    assert p.extrapolation is p.fold().extrapolation is None
    nothing = tm.Configuration(np.zeros((1, 3)), [0], [False], [], [0], [])
    assert model.evaluate(nothing).extrapolation == []


def test_committees_have_those_of_all_members(tmp_path):
    ranges, expected = narrowed()
    together = tm.Committee(
        [
            create(tmp_path / "1", {"Si": ranges["Si"]}, 0),
            create(tmp_path / "2", None, 1),
            create(tmp_path / "3", ranges, 2),
        ]
    )
    p = together.evaluate(carbide())
    assert p.extrapolation == p.fold().extrapolation == expected
    assert p.members[1].extrapolation is None
    monitor = ExtrapolationMonitor("ignore")
    monitor.take(p)
    assert set(monitor.counts.values()) == {1}  # each value once, though two members have its range
    wider = {"Si": {"min": ranges["Si"]["min"], "max": np.array(ranges["Si"]["max"]) + 1e-7}}
    models = [together.models[0], create(tmp_path / "4", wider, 3), together.models[2]]
    p = tm.Committee(models).evaluate(carbide())
    assert [r[:3] for r in p.extrapolation if r.element == "Si"] == [
        record[:3] for record in expected if carbide().symbols[record[0]] == "Si" for _ in range(2)
    ]
    monitor.take(p)
    assert set(monitor.counts.values()) == {2}
    without = tm.Committee([together.models[1], together.models[1]]).evaluate(carbide())
    assert without.extrapolation is None


# ---- counting, warning, stopping


def test_a_monitor_warns_of_each_component_once_and_counts(tmp_path):
    ranges, expected = narrowed()
    model = create(tmp_path / "model", ranges)
    monitor, prediction = ExtrapolationMonitor(), model.evaluate(carbide())
    with pytest.warns(tm.ExtrapolationWarning) as caught:
        list(map(monitor.warn, 3 * [prediction]))
    assert len(caught) == 3
    assert sorted(str(w.message).partition(":")[0] for w in caught) == sorted(
        f"atom {atom} ({carbide().symbols[atom]})" for atom, *_ in expected
    )
    assert set(monitor.counts.values()) == {3}
    assert {component for _, component in monitor.counts} == {record[1] for record in expected}
    monitor = ExtrapolationMonitor("ignore")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.warn(prediction)
    assert sum(monitor.counts.values()) == 3
    with pytest.raises(tm.ExtrapolationError, match=r"atom \d .* range from .* \(3 values are\)"):
        ExtrapolationMonitor("raise").warn(prediction)
    with pytest.raises(tm.InputError, match="extrapolation = 'stop': one of 'warn', 'ignore', 'r"):
        ExtrapolationMonitor("stop")


def test_the_calculator(tmp_path):
    ranges, expected = narrowed()
    model, atoms = create(tmp_path / "model", ranges), carbide()
    atoms.calc = TorchMLCalculator(model)
    with pytest.warns(tm.ExtrapolationWarning, match="further values are counted") as caught:
        atoms.get_potential_energy()
    assert sum(issubclass(w.category, tm.ExtrapolationWarning) for w in caught) == 3
    atoms.get_forces()  # of the same structure: not counted again
    assert sum(atoms.calc.extrapolations.values()) == 3
    atoms.rattle(1e-9)
    atoms.get_forces()  # without a warning, which would be an error here
    assert sum(atoms.calc.extrapolations.values()) == 6
    assert {key[1] for key in atoms.calc.extrapolations} == {record[1] for record in expected}
    atoms.calc = TorchMLCalculator(model, extrapolation="ignore")
    atoms.get_forces()
    atoms.calc = TorchMLCalculator(model, extrapolation="raise")
    for _ in range(2):
        with pytest.raises(tm.ExtrapolationError, match="outside of the training range"):
            atoms.get_forces()
    with pytest.raises(tm.InputError, match="extrapolation = 'stop'"):
        TorchMLCalculator(model, extrapolation="stop")


def test_evaluate(tmp_path):
    ranges, expected = narrowed()
    create(tmp_path / "model", ranges)
    write(tmp_path / "atoms.extxyz", [carbide(), carbide()])

    def run(*options):
        source = str(tmp_path / "atoms.extxyz")
        return CliRunner().invoke(main, ["evaluate", str(tmp_path / "model"), source, *options])

    done = run()
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for atom, component, *_ in expected:
        start = (
            f"warning: {tmp_path}/atoms.extxyz@0 (line 1): atom {atom} ({carbide()[atom].symbol})"
        )
        assert any(line.startswith(f"{start}: {component} = ") for line in lines)
    start = done.stdout.splitlines().index(
        "6 values of 3 components are outside of the training range:"
    )
    counts = [line.split(maxsplit=2) for line in done.stdout.splitlines()[start + 1 :][:3]]
    assert sorted(counts) == sorted(
        ["2", carbide()[record[0]].symbol, record[1]] for record in expected
    )
    done = run("--extrapolation", "ignore")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "training range" not in done.stdout
    done = run("--extrapolation", "stop", "--keep-going")
    assert done.exit_code == 1
    assert len(re.findall(r"error: .*@[01] .*range from .* \(3 values are\)", done.stderr)) == 2
