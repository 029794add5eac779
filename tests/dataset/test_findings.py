"""look_at: each fault is planted in clean data and found; clean data have no findings."""

import dataclasses

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT

import torchml_core as tm
from torchml_core.dataset import Dataset, Finding, look_at
from torchml_core.dataset.findings import shortened


def strained(seed):
    """32 atoms of copper, displaced and strained, labeled by effective medium theory."""
    random = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True) * 2
    strain = np.eye(3) + random.normal(0, 0.02, (3, 3))
    atoms.set_cell(atoms.cell @ (strain + strain.T) / 2, scale_atoms=True)
    atoms.positions += random.normal(0, 0.03 + 0.035 * (seed % 3), atoms.positions.shape)
    atoms.info["config_type"] = "hot" if seed % 3 else "cold"
    atoms.calc = EMT()
    atoms.get_stress()
    return atoms


@pytest.fixture(scope="module")
def clean():
    return Dataset.from_atoms([strained(seed) for seed in range(45)])


def changed(data, change):
    """Data with the fields of each example that change(index, example) returns."""
    return Dataset([dataclasses.replace(e, **(change(k, e) or {})) for k, e in enumerate(data)])


def found(data):
    return {finding.kind: finding for finding in look_at(data)}


def test_clean_data_have_no_findings(clean):
    assert look_at(clean) == []


def test_kinetic_energies(clean):
    """3/2 kT of 600 to 900 K is in the energies of one kind."""
    random = np.random.default_rng(0)

    def change(k, e):
        kinetic = 1.5 * units.kB * random.choice([600, 900]) * e.n_atoms
        return {"energy": e.energy + kinetic} if e.kind == "hot" else None

    finding = found(changed(clean, change))["energies and forces"]
    assert "'hot'" in finding.message
    assert "kinetic energy" in finding.message
    assert set(finding.labels) == {e.label for e in clean if e.kind == "hot"}


def test_energies_of_a_kind_with_another_zero(clean):
    data = changed(clean, lambda k, e: {"energy": e.energy + 8} if e.kind == "cold" else None)
    (finding,) = look_at(data)
    assert any(
        f"{place} what" in finding.message
        for place in ("'cold' are 250 meV/atom above", "'hot' are 250 meV/atom below")
    )


def test_forces_of_the_wrong_sign(clean):
    finding = found(changed(clean, lambda k, e: {"forces": -e.forces}))["energies and forces"]
    assert "do not fit" in finding.message


def test_an_energy_of_fewer_atoms(clean):
    data = changed(clean, lambda k, e: {"energy": e.energy * 31 / 32 + 3.5} if k == 7 else None)
    assert found(data)["energy outliers"].labels == ("structures[7]",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s[[0, 1, 2, 5, 3, 4]], "in the order xx yy zz xy yz xz"),  # VASP's
        (lambda s: s[[0, 1, 2, 5, 4, 3]], "in the order xx yy zz xy xz yz"),
        (lambda s: s[[0, 5, 4, 1, 3, 2]], "in the order xx xy xz yy yz zz"),  # rows of a triangle
        (lambda s: -s, "the sign is the opposite"),
        (lambda s: s * 1602.18, "kBar"),
        (lambda s: s * 160.218, "GPa"),
    ],
)
def test_stresses(clean, change, message):
    data = changed(clean, lambda k, e: {"stress": change(e.stress)})
    (finding,) = look_at(data)
    assert finding.kind == "stress"
    assert message in finding.message


def test_forces_that_do_not_sum_to_zero_or_are_large(clean):
    drifting = changed(clean, lambda k, e: {"forces": e.forces + 0.3} if k == 3 else None)
    assert found(drifting)["net force"].labels == ("structures[3]",)
    huge = np.zeros((32, 3))
    huge[0, 0], huge[1, 0] = 200, -200
    assert found(changed(clean, lambda k, e: {"forces": huge} if k == 5 else None))[
        "large forces"
    ].labels == ("structures[5]",)


def moved(atoms):
    """The same structure, turned, shifted, and with its atoms in another order."""
    out = atoms[np.random.default_rng(1).permutation(len(atoms))]
    out.rotate(35, (1, 2, 3), rotate_cell=True)
    out.positions += [0.3, 0.4, 0.5]
    out.wrap()
    return out


def test_duplicates(clean):
    copy = dataclasses.replace(
        clean[4], atoms=moved(clean[4].atoms), forces=None, stress=None, label="copy@0"
    )
    finding = found(Dataset([*clean, copy]))["duplicates"]
    assert finding.labels == ("structures[4]", "copy@0")
    other = dataclasses.replace(copy, energy=copy.energy + 0.1)
    assert found(Dataset([*clean, other]))["contradictions"].labels == finding.labels
    near = clean[4].atoms.copy()
    near.positions[0, 0] += 1e-4
    assert look_at(Dataset([*clean, dataclasses.replace(clean[4], atoms=near)])) == []


def test_structures(clean):
    far = Atoms("Cu4", [[0, 0, 0], [2.5, 0, 0], [30, 0, 0], [32.5, 0, 0]])
    close = Atoms("Cu2", [[0, 0, 0], [1.2, 0, 0]])
    rare = Atoms("CuAu", [[0, 0, 0], [2.6, 0, 0]])
    odd = Dataset.from_atoms([far, close, rare, Atoms()])
    labeled = [dataclasses.replace(e, label=f"odd.xyz@{k} (line {k})") for k, e in enumerate(odd)]
    findings = look_at(Dataset([*clean, *labeled]))
    by_kind = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    assert by_kind["fragments"][0].labels == (labeled[0].label,)
    assert by_kind["close atoms"][0].labels == (labeled[1].label,)
    assert "Cu-Cu at 1.20 Å" in by_kind["close atoms"][0].message
    assert by_kind["empty"][0].labels == (labeled[3].label,)
    texts = [finding.message for finding in by_kind["rare elements"]]
    assert "Au (1)" in texts[0]
    assert "neighbors Cu-Au (1) within" in texts[1] or "neighbors Au-Cu (1) within" in texts[1]
    assert "Au-Au" in texts[2]


def test_data_without_labels_or_structures():
    assert look_at(Dataset([])) == []
    assert look_at(Dataset.from_atoms([bulk("Cu"), Atoms("Cu")])) == []


def test_what_is_not_a_data_set():
    with pytest.raises(tm.InputError, match="data = 5: a Dataset is needed"):
        look_at(5)


def test_lists_of_labels_are_shortened():
    labels = tuple(f"a.xyz@{k} (line {9 * k})" for k in range(4)) + ("b.xyz@7",) * 20
    assert shortened(labels) == "a.xyz@0,1,2,3 b.xyz@7,7 and 18 more"
    assert str(Finding("duplicates", "some", ("a@1",))) == "duplicates: some (a@1)"
