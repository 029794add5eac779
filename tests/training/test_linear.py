"""fit_linear: coefficients that made the data are found again, and what the fit says of itself."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import torchml_core as tm
from torchml_core import _memory
from torchml_core.dataset import Dataset
from torchml_core.errors import ModelWarning
from torchml_core.training import fit_linear, least_squares
from torchml_core.training.features import Features
from torchml_core.training.least_squares import LeastSquares
from torchml_core.training.normal_equations import NormalEquations, System

CUTOFF = 3.5
SPECIES = ("Si", "C")


def descriptor(species=SPECIES):
    functions = [("g2", [[0.1, 0.0], [0.8, 1.9], [2.0, 2.6]]), ("g4", [[1, 1, 0.05], [2, -1, 0.1]])]
    return tm.SymmetryFunctions(list(species), CUTOFF, functions)


def structures(n=14, species=SPECIES):
    """Crystals and molecules with random species, the last one without a cell."""
    random = np.random.default_rng(5)
    made = []
    for k in range(n):
        atoms = bulk("SiC", "zincblende", a=4.3 + 0.02 * k, cubic=True)
        atoms.rattle(0.12, seed=k)
        atoms.symbols = random.choice(species, len(atoms))
        if k % 5 == 4:
            atoms = Atoms(atoms.symbols, atoms.positions)
        made.append(atoms)
    return made


@pytest.fixture(scope="module", params=[1, 2])
def truth(request, tmp_path_factory):
    """A model with random coefficients."""
    d = descriptor()
    module = tm.nn.ElementPolynomials(d, request.param)
    random = np.random.default_rng(request.param)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(random.normal(size=tuple(parameter.shape))))
    folder = tmp_path_factory.mktemp("truth") / "model"
    return tm.PortableModel.create(folder, model=module, species=SPECIES, descriptor=d), module


def labeled(model, atoms, *, shift=0.0, kind="", stress=True):
    p = model.evaluate(atoms).fold()
    labels = {"energy": p.energy + shift, "forces": p.forces}
    if stress and atoms.cell.rank == 3:
        labels["stress"] = p.stress
    atoms.calc = SinglePointCalculator(atoms, **labels)
    atoms.info["config_type"] = kind
    return atoms


def largest_error(module, truth, data):
    """Of the energies of atoms, in eV."""
    errors = []
    for k in range(len(data)):
        c = data.configuration(k, CUTOFF, SPECIES)
        values = torch.from_numpy(descriptor().compute(c))
        codes = torch.from_numpy(c.codes(SPECIES)[c.centers].astype(np.int64))
        errors.append((module(values, codes) - truth(values, codes)).abs().max().item())
    return max(errors)


@pytest.mark.parametrize("labels", [("energy", "forces", "stress"), ("energy", "forces")])
def test_the_model_that_made_the_data_is_found(truth, labels, tmp_path):
    """Stress rows that were wrong would not fit the forces; one that is missing is not missed."""
    model, module = truth
    data = Dataset.from_atoms(
        [labeled(model, atoms, stress="stress" in labels) for atoms in structures()]
    )
    fit = fit_linear(descriptor(), data, degree=module.degree, ridge=0)
    assert largest_error(fit.module, module, data) < 1e-6
    for part in ("train", "validation"):
        assert set(fit.errors[part]["all"]) == set(labels)
        assert max(fit.errors[part]["all"].values()) < 1e-6
    saved = fit.save(tmp_path / "model", license="MIT")
    atoms = structures(1)[0]
    found, expected = saved.evaluate(atoms), model.evaluate(atoms)
    assert abs(found.energy - expected.energy) < 1e-6
    assert saved.card.license == "MIT"
    assert saved.card.reference_energies == pytest.approx(fit.reference_energies)
    assert set(saved.card.training_range) == set(SPECIES)


def test_stresses_alone_are_enough_for_all_but_the_constants(truth):
    """They test the rows of stresses by themselves."""
    model, module = truth
    data = Dataset.from_atoms([labeled(model, atoms) for atoms in structures(40)])
    alone = [a.atoms.copy() for a in data if a.stress is not None]
    for atoms, example in zip(alone, [a for a in data if a.stress is not None], strict=True):
        atoms.calc = SinglePointCalculator(atoms, stress=example.stress)
    fit = fit_linear(descriptor(), Dataset.from_atoms(alone), degree=1, ridge=1e-13)
    if module.degree == 1:
        difference = (fit.module.linear - module.linear).abs().max().item()
        assert difference < 1e-5
    else:
        assert fit.errors["train"]["all"]["stress"] > 1e-4


def test_labels_that_do_not_fit_lose_their_weight(truth):
    """Energies of one kind have something added that is not a function of the positions."""
    model, module = truth
    random = np.random.default_rng(0)
    atoms = structures(20)
    data = Dataset.from_atoms(
        [labeled(model, a, shift=8 * random.uniform(0.5, 1), kind="hot") for a in atoms[::2]]
        + [labeled(model, a, kind="cold") for a in atoms[1::2]]
    )
    fit = fit_linear(descriptor(), data, degree=module.degree, validation=0.2)
    hot, cold = (fit.errors["train"][kind]["energy"] for kind in ("hot", "cold"))
    assert hot > 0.4
    assert cold < 0.005
    trusting = fit_linear(
        descriptor(), data, degree=module.degree, validation=0.2,
        expected_errors={"energy": 0.01, "forces": 1.0, "stress": 1.0},
    )  # fmt: skip
    assert trusting.errors["train"]["cold"]["energy"] > 0.01


@pytest.mark.parametrize("components", [2, 5])
def test_products_of_principal_components(truth, components):
    """With as many components as values it is the same model as with the products of values."""
    model, module = truth
    data = Dataset.from_atoms([labeled(model, atoms) for atoms in structures()])
    fit = fit_linear(descriptor(), data, degree=2, components=components, ridge=0)
    assert fit.n_coefficients == 2 * (1 + 5 + components * (components + 1) // 2)
    assert all(np.linalg.matrix_rank(q, 1e-9) <= components for q in fit.module.quadratic.detach())
    if components == 5:
        assert largest_error(fit.module, module, data) < 1e-6
    # the errors of the coefficients are those of the polynomial that they become
    own = tm.nn.DescriptorModel(descriptor(), fit.module)
    squares = []
    train, _ = data.split(0.1)
    for batch in train.batches(descriptor(), 100):
        squares += (own(batch).forces - batch.forces).detach().pow(2).flatten().tolist()
    assert np.mean(squares) ** 0.5 == pytest.approx(
        fit.errors["train"]["all"]["forces"], abs=1e-7, rel=1e-6
    )


def test_refitted_is_better_on_all_structures(truth):
    model, _ = truth
    random = np.random.default_rng(1)
    made = [labeled(model, atoms, stress=False) for atoms in structures(20)]
    for atoms in made:
        atoms.calc.results["forces"] += random.normal(size=(len(atoms), 3))
    data = Dataset.from_atoms(made)
    expected = {"energy": 1e3, "forces": 1.0}
    fit = fit_linear(descriptor(), data, validation=0.3, expected_errors=expected, ridge=1e-12)
    batch = next(iter(data.batches(descriptor(), 100)))
    first, again = (
        (tm.nn.DescriptorModel(descriptor(), m)(batch).forces - batch.forces).pow(2).mean().item()
        for m in (fit.module, fit.refitted)
    )
    assert again < first


def test_a_kind_that_is_fitted_well_has_no_more_weight_for_it(truth):
    """Forces of rigid crystals are nearly 0: their error is not what others are weighted with."""
    model, _ = truth
    random = np.random.default_rng(1)
    made = [labeled(model, atoms, kind="hot", stress=False) for atoms in structures(12)]
    crystals = [bulk("SiC", "zincblende", a=4.3 + 0.01 * k, cubic=True) for k in range(6)]
    made += [labeled(model, atoms, kind="still", stress=False) for atoms in crystals]
    for atoms in made[:12]:
        atoms.calc.results["forces"] += random.normal(size=(len(atoms), 3))
    problem = LeastSquares(descriptor(), Dataset.from_atoms(made), 1, None, 0.2, None, 0, None)
    *_, sizes = problem.solve(None, None)
    assert sizes["forces", "hot"] == pytest.approx(1.0, rel=0.3)
    assert sizes["forces", "still"] > 0.5


def test_errors_are_not_expected_from_an_overfitted_model():
    """241 coefficients for 8 structures: with the least ridge, forces of others are off by 281.

    They hardly counted then, so that a model with products was worse than one without.
    """
    model = tm.PortableModel.load("examples/models/StillingerWeber_Si")
    data = Dataset.from_atoms([labeled(model, a) for a in structures(8, ("Si",))])
    d = tm.SOAP(["Si"], 4.0, 4, 2)
    linear = fit_linear(d, data, validation=0.25)
    products = fit_linear(d, data, degree=2, components=20, validation=0.25)
    forces = np.concatenate([example.forces.ravel() for example in data])
    assert products.expected_errors["forces"][""] < 0.5 * np.sqrt(np.mean(forces**2))
    found, known = (fit.errors["validation"]["all"] for fit in (products, linear))
    assert found["forces"] < known["forces"]
    assert found["energy"] < known["energy"]


def test_uncertainties_are_larger_for_other_environments(truth):
    model, _ = truth
    random = np.random.default_rng(0)
    atoms = [labeled(model, a) for a in structures()]
    for a in atoms:
        a.calc.results["forces"] = a.calc.results["forces"] + random.normal(0, 0.1, (len(a), 3))
    data = Dataset.from_atoms(atoms)
    fit = fit_linear(descriptor(), data)
    known = fit.uncertainties(data.configuration(0, CUTOFF, SPECIES))
    assert known.shape == (8,)
    dense = structures(1)[0]
    dense.set_cell(0.8 * dense.cell, scale_atoms=True)
    other = fit.uncertainties(tm.Configuration.from_atoms(dense, CUTOFF, SPECIES))
    assert (other > 5 * known.max()).all()


def test_one_element_is_a_model_with_one_input(truth, tmp_path):
    d = descriptor(["Si"])
    calculator = truth[0]
    atoms = [labeled(calculator, a) for a in structures(8, ["Si"])]
    fit = fit_linear(d, Dataset.from_atoms(atoms), degree=truth[1].degree)
    model = fit.save(tmp_path / "model")
    assert model.parameters.n_inputs == 1
    forces = model.evaluate(atoms[0]).fold().forces
    np.testing.assert_allclose(forces, atoms[0].calc.results["forces"], atol=1e-4)


def test_a_descriptor_without_species(truth, tmp_path):
    """Xi does not know elements; the model has the elements of the data."""
    atoms = [labeled(truth[0], a) for a in structures(8)]
    fit = fit_linear(tm.Xi(3, CUTOFF), Dataset.from_atoms(atoms))
    assert fit.module.species == ("C", "Si")
    assert np.isfinite(fit.errors["validation"]["all"]["forces"])


def test_warnings_of_what_the_data_lack(truth):
    far = Atoms("SiC", positions=[[0, 0, 0], [9, 0, 0]])
    apart = Dataset.from_atoms([labeled(truth[0], a) for a in (far, *structures(6, ["Si"]))])
    with pytest.warns(ModelWarning, match="no neighbors within its cutoff: Si-C, C-C; the model"):
        fit_linear(descriptor(), apart)
    with pytest.warns(ModelWarning, match="no structures with C; the model"):
        fit_linear(descriptor(), apart.select(range(1, 7)))


def test_a_warning_of_pairs_in_few_structures(truth):
    """Of those that are fitted, in less than ten and in less than half of all."""
    many = [labeled(truth[0], a) for a in structures(9, ["Si"])]
    few = [labeled(truth[0], a) for a in structures(2)]
    with pytest.warns(ModelWarning, match=r"few structures with neighbors Si-C \(2\), C-C \(2\)"):
        fit_linear(descriptor(), Dataset.from_atoms([*many, *few]), validation=0, ridge=1e-9)
    half = Dataset.from_atoms([*many[:2], *few])  # a warning would be an error
    fit_linear(descriptor(), half, validation=0, ridge=1e-9)


def test_the_largest_ridge_that_is_about_as_good_if_features_are_never_seen():
    """SiC and SiGe tell nothing about the product of densities of C and Ge at Si."""
    random = np.random.default_rng(0)
    soap = tm.SOAP(["C", "Si", "Ge"], 4.0, 2, 1)
    found = {}
    for other in ("C", "Si"):  # the latter: a third of the structures has all three
        data = []
        for k in range(12):
            atoms = bulk("Si", cubic=True, a=5.2)
            atoms.symbols[random.permutation(8)[:4]] = "Ge" if k % 2 else "C"
            if other == "Si" and k % 3 == 0:
                atoms.symbols[random.permutation(8)[:6]] = ["C", "C", "Ge", "Ge", "Si", "Si"]
            atoms.rattle(0.1, seed=k)
            forces = random.normal(size=(8, 3))
            atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
            data.append(atoms)
        found[other] = LeastSquares(soap, Dataset.from_atoms(data), 1, None, 0.2, None, 0, None)
    losses = {(False, 1e-9): 1.0, (False, 1e-6): 1.1, (False, 1e-3): 1.3}
    rare, seen = found["C"]._chosen, found["Si"]._chosen
    assert rare(losses) == (False, 1e-6)
    assert seen(losses) == (False, 1e-9)
    assert seen(losses | {(False, 1e-8): 1.019, (False, 1e-7): 1.021}) == (False, 1e-8)
    assert rare(losses | {(True, 1e-8): 1.1, (True, 1e-7): 1.21}) == (True, 1e-8)
    assert seen(losses | {(True, 1e-8): 1.1}) == (False, 1e-9)


@pytest.mark.filterwarnings("ignore:the data have only a few structures with neighbors")
def test_forces_are_sane_among_elements_that_the_data_do_not_have_together():
    """Cells of two elements are fitted; with the least ridge, forces are 500 eV/Å among four."""
    model = tm.PortableModel.load("examples/models/StillingerWeber_Si")
    random, names = np.random.default_rng(0), ["Nb", "Mo", "Ta", "W"]

    def cell(k, elements):
        atoms = bulk("Si", "bcc", a=3.2, cubic=True) * 2
        atoms.rattle(0.15, seed=k)
        p = model.evaluate(atoms).fold()
        atoms.symbols = random.permutation(elements * (16 // len(elements)))
        forces = p.forces + 0.3 * random.normal(size=(16, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=p.energy, forces=forces)
        return atoms

    pairs = [[names[i], names[j]] for i in range(4) for j in range(i)]
    data = Dataset.from_atoms([cell(k, pairs[k % 6]) for k in range(42)])
    size = np.sqrt(np.mean([example.forces**2 for example in data]))
    d = tm.SOAP(names, 4.0, 2, 1)
    fit = fit_linear(d, data, degree=2, components=8)
    batch = next(iter(Dataset.from_atoms([cell(99, names)]).batches(d, 1)))
    assert tm.nn.DescriptorModel(d, fit.module)(batch).forces.abs().max().item() < 6 * size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degree": 3}, "degree = 3"),
        ({"degree": 2, "components": 6}, "components = 6: a whole number from 1 to 5 is needed"),
        ({"components": 2}, "components = 2: degree 2 is needed"),
        ({"validation": 1.0}, "fraction = 1"),
        ({"validation": 0.0}, "validation: structures with labels are needed to choose a ridge"),
        ({"ridge": -1}, "ridge = -1"),
        ({"expected_errors": {"energies": 1}}, "expected_errors = .*a dict with keys of energy"),
        ({"expected_errors": {"energy": 0}}, r"expected_errors\['energy'\] = 0"),
        ({"descriptor": "SOAP"}, "descriptor = 'SOAP': a Descriptor is needed"),
        ({"data": []}, r"data = \[\]: a Dataset is needed"),
        ({"descriptor": descriptor(["Si"])}, "its species are Si; C, which the data have, is"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_wrong_arguments(truth, arguments, message):
    data = Dataset.from_atoms([labeled(truth[0], a) for a in structures(3)])
    with pytest.raises(tm.InputError, match=message):
        fit_linear(**({"descriptor": descriptor(), "data": data} | arguments))


def test_jacobians_give_their_memory_back(monkeypatch):
    """Blocks of all sizes were kept, 60 MiB in all; the limit is then what it was."""
    model = tm.PortableModel.load("examples/models/StillingerWeber_Si")
    atoms = [bulk("Si", cubic=True).repeat((n, 2, 2)) for n in (1, 2, 3)]
    data = Dataset.from_atoms([labeled(model, a) for a in atoms])
    d, kept = tm.SOAP(["Si"], 4.0, 4, 2), []

    class Seen(Features):
        def rows(self, c, values, **more):
            found = super().rows(c, values, **more)
            kept.append(_memory.kept_memory())
            return found

    for c in (data.configuration(k, 4.0) for k in range(3)):
        d.jacobian(c)
    assert _memory.kept_memory() > 0  # they are large enough to be kept
    before = tm.set_kept_memory(2**29)
    monkeypatch.setattr(least_squares, "Features", Seen)
    fit_linear(d, data, validation=0, ridge=1e-9)
    assert kept == [0, 0, 0]
    assert tm.set_kept_memory(before) == 2**29


def test_no_labels():
    data = Dataset.from_atoms(structures(4))
    with pytest.raises(tm.InputError, match="energies, forces or stresses are needed"):
        fit_linear(descriptor(), data)


# ---- normal equations


@pytest.mark.parametrize("n", [30, 3000])  # rows, which are kept, or summed up
@pytest.mark.parametrize("width", [4, 520])  # one block of a matrix, or three
def test_normal_equations_are_those_of_all_rows(n, width):
    random = np.random.default_rng(0)
    rows, targets = random.normal(size=(n, width)) + 1, random.normal(size=n)
    sums = NormalEquations(width)
    for part in np.split(np.arange(n), [5, n // 2]):
        sums.add(rows[part], targets[part])
    x = random.normal(size=width)
    residuals = targets - rows @ x
    assert sums.mean_square(x) == pytest.approx(np.mean(residuals**2), rel=1e-12)
    assert sums.mean_square(x, centered=True) == pytest.approx(residuals.var(), rel=1e-12)
    assert sums.n_rows == n
    np.testing.assert_allclose(sums.diagonal(), (rows**2).sum(axis=0), rtol=1e-13)
    for centered in (False, True):
        a, y = (v - centered * v.mean(axis=0) for v in (rows, targets))
        system = System([(sums, 2.0, centered)])
        matrix = 2 * a.T @ a
        np.testing.assert_allclose(np.tril(system.matrix()), np.tril(matrix), rtol=0, atol=1e-9)
        scaled = matrix + 0.01 * np.diag(np.diag(matrix))
        expected = np.linalg.solve(scaled, 2 * a.T @ y)
        np.testing.assert_allclose(system.solve(0.01), expected, rtol=1e-8, atol=1e-10)


def test_a_weight_counts_like_equal_rows():
    rows, targets = np.arange(12.0).reshape(4, 3) ** 2, np.arange(4.0)
    one, other = NormalEquations(3), NormalEquations(3)
    one.add(rows, targets, 2.0)
    for _ in range(2):
        other.add(rows, targets)
    matrices = [System([(group, 1.0, False)]).matrix() for group in (one, other)]
    np.testing.assert_allclose(*matrices, rtol=1e-14)
    assert (one.n_rows, one.squares) == (other.n_rows, other.squares)


def test_norms_of_rows_and_coefficients_that_no_row_has():
    random = np.random.default_rng(0)
    rows = random.normal(size=(20, 4)) * [1, 10, 0, 1e-3]
    sums = NormalEquations(4)
    sums.add(rows, random.normal(size=20))
    factor = System([(sums, 1.0, False)]).factor(0)
    kept = [0, 1, 3]
    inverse = np.linalg.inv(rows.T @ rows + np.diag([0, 0, 1, 0]))
    own = random.normal(size=(5, 4))
    expected = [x[kept] @ inverse[np.ix_(kept, kept)] @ x[kept] for x in own]
    np.testing.assert_allclose(factor.norms(own) ** 2, expected, rtol=1e-9)
    assert factor.solve(sums.right)[2] == 0


def test_a_matrix_that_is_singular_but_for_rounding():
    """Rounding makes eigenvalues that are less than 0; the least ridge that hides them is taken."""
    random = np.random.default_rng(0)
    few = np.repeat(random.normal(size=(3, 200)), 100, axis=0)
    sums = NormalEquations(200)
    sums.add(few, few @ random.normal(size=200))
    for ridge in (0, 1e-30):
        found = System([(sums, 1.0, False)]).solve(ridge)
        np.testing.assert_allclose(few.T @ (few @ found), sums.right, rtol=0, atol=1e-4)


def test_the_ridge_of_coefficients_of_different_sizes():
    """The minimum of squares plus the ridge times squares of coefficients over their sizes."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(30, 4)) * [1, 1, 0.01, 1]
    targets = random.normal(size=30)
    matrix, right = rows.T @ rows, rows.T @ targets
    sizes = np.array([0.0, 2.0, 1.0, 0.5])  # the first one is that of a constant
    largest = (sizes**2 * np.diag(matrix)).max()
    penalty = np.append(np.diag(matrix)[0], largest / sizes[1:] ** 2)
    penalized = matrix + 0.1 * np.diag(penalty)
    group = NormalEquations(4)
    group.add(rows, targets)
    factor = System([(group, 1.0, False)]).factor(0.1, sizes)
    assert factor.solve(right) == pytest.approx(np.linalg.solve(penalized, right), rel=1e-10)
    expected = np.sqrt(np.diag(rows @ np.linalg.inv(penalized) @ rows.T))
    assert factor.norms(rows) == pytest.approx(expected, rel=1e-10)


def test_a_column_without_differences_has_no_coefficient():
    """Rounding in differences from the mean is not taken for values."""
    random = np.random.default_rng(0)
    group = NormalEquations(3)
    rows = np.column_stack([np.full(50, 0.1), random.normal(size=(50, 2)) + 3])
    group.add(rows, rows @ [5, 1, 2])
    found = System([(group, 1.0, True)]).solve(1e-12)
    assert found == pytest.approx([0, 1, 2], abs=1e-8)


def test_coefficients_count_by_the_spread_of_values_if_that_is_better():
    """A fit to few data with energies that hardly depend on directions of small variance."""
    d = tm.SOAP(["Si"], 4.0, 4, 2)
    model = tm.PortableModel.load("examples/models/StillingerWeber_Si")
    data = Dataset.from_atoms([labeled(model, a) for a in structures(12, ("Si",))])
    problem = LeastSquares(d, data, 2, 10, 0.4, None, 0, 1)
    coefficients, _, sizes = problem.solve(None, None)
    assert problem.coefficient_sizes is not None
    weights = problem._weights(problem.held_out, sizes)

    def loss(found):
        groups = problem.held_out.items()
        return sum(weights[key] * g.n_rows * g.mean_square(found) for key, g in groups)

    alike = [problem._solve(ridge, sizes)[0] for ridge in 10.0 ** np.arange(-12, 1)]
    assert loss(coefficients) < min(map(loss, alike))
