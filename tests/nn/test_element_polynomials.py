"""ElementPolynomials: values against a plain loop, scripted and exported, in a portable model."""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms

import torchml_core as tm

WIDTH = 3


@pytest.fixture(scope="module")
def descriptor():
    rows = [[0.1 * k, 0.0] for k in range(WIDTH)]
    return tm.SymmetryFunctions(["Si", "C", "O"], 4.0, [("g2", rows)])


@pytest.fixture(params=[1, 2])
def polynomials(descriptor, request):
    made = tm.nn.ElementPolynomials(descriptor, request.param)
    random = np.random.default_rng(request.param)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.from_numpy(random.normal(size=tuple(parameter.shape))))
    return made


def some_input(n, elements=(0, 1, 2)):
    random = np.random.default_rng(n)
    codes = random.choice(elements, n).astype(np.int64)
    return torch.from_numpy(random.normal(size=(n, WIDTH))), torch.from_numpy(codes)


def expected(made, values, codes):
    constant, linear, quadratic = (p.detach().numpy() for p in made.parameters())
    rows = zip(values.numpy(), codes.numpy(), strict=True)
    return [
        constant[e] + linear[e] @ row + (row @ quadratic[e] @ row if made.degree == 2 else 0)
        for row, e in rows
    ]


@pytest.mark.parametrize(("n", "elements"), [(9, (0, 1, 2)), (4, (1,)), (1, (2,)), (0, (0,))])
def test_energies_also_scripted(polynomials, n, elements):
    values, codes = some_input(n, elements)
    with warnings.catch_warnings():  # torch says that scripts are deprecated
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(polynomials)
    for forward in (polynomials, scripted):
        found = forward(values, codes).detach().numpy()
        np.testing.assert_allclose(found, expected(polynomials, values, codes), rtol=1e-13)


def test_exported_with_any_number_of_atoms(polynomials):
    n = torch.export.Dim("n")
    program = torch.export.export(
        polynomials, some_input(5), dynamic_shapes={"descriptor": {0: n}, "species": {0: n}}
    )
    values, codes = some_input(8)
    found = program.module()(values, codes).detach().numpy()
    np.testing.assert_allclose(found, expected(polynomials, values, codes), rtol=1e-13)


def test_forces_of_a_portable_model(descriptor, polynomials, tmp_path):
    model = tm.PortableModel.create(
        tmp_path / "model", model=polynomials, species=polynomials.species, descriptor=descriptor
    )
    atoms = Atoms("SiCOSi", positions=[[0, 0, 0], [1.7, 0, 0], [0, 1.6, 0.2], [0.3, 0.2, 2.1]])
    forces = model.evaluate(atoms).forces
    slow = tm.testing.finite_difference_forces(model, atoms)
    assert np.abs(forces - slow).max() <= 1e-7 * np.abs(slow).max()


def test_degree(descriptor):
    with pytest.raises(tm.InputError, match="degree = 3"):
        tm.nn.ElementPolynomials(descriptor, 3)
