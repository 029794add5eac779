"""Models that are linear in the descriptor: the same results from one pass, and who takes it."""

import numpy as np
import pytest
import torch
from snap_potentials import beryllide

import torchml_core as tm

SPECIES = ["W", "Be"]
NAMES = ("energy", "particle_energies", "forces", "virial", "particle_virials")
CUTOFFS = {("W", "W"): 4.0, ("W", "Be"): 3.6, ("Be", "Be"): 3.0}
DESCRIPTORS = {
    "Bispectrum": tm.Bispectrum(SPECIES, CUTOFFS, 4, weights=[1.0, 0.5]),
    "chemical": tm.Bispectrum(SPECIES, CUTOFFS, 2, chemical=True),
    "SymmetryFunctions": tm.SymmetryFunctions(SPECIES, CUTOFFS, [("g2", [[0.1, 0], [0.5, 1]])]),
}


def polynomials(descriptor, degree=1):
    found = tm.nn.ElementPolynomials(descriptor, degree)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return found


def create(folder, network, descriptor, **settings):
    species = settings.pop("species", descriptor.species)
    return tm.PortableModel.create(
        folder, model=network, species=species, descriptor=descriptor, **settings
    )


def in_two_passes(model):
    """The same model, run by torch."""
    other = tm.PortableModel.load(model.folder)
    other._linear = None
    return other


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_the_same_as_in_two_passes(name, tmp_path):
    descriptor = DESCRIPTORS[name]
    model = create(tmp_path / "m", polynomials(descriptor), descriptor)
    assert model._linear is not None
    found, expected = model.evaluate(beryllide()), in_two_passes(model).evaluate(beryllide())
    for quantity in NAMES:
        one, other = getattr(found, quantity), getattr(expected, quantity)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * np.abs(other).max())
    energy = model.evaluate(beryllide(), forces=False, virial=False).energy
    assert energy == pytest.approx(found.energy, rel=1e-13)


def test_what_is_asked_for(tmp_path):
    descriptor = DESCRIPTORS["Bispectrum"]
    model = create(tmp_path / "m", polynomials(descriptor), descriptor)
    both = model.evaluate(beryllide())
    for forces, virial in ((True, False), (False, True)):
        found = model.evaluate(beryllide(), forces=forces, virial=virial)
        for quantity, asked in (("forces", forces), ("virial", virial)):
            if asked:
                np.testing.assert_array_equal(getattr(found, quantity), getattr(both, quantity))
            else:
                with pytest.raises(tm.InputError, match=f"{quantity}=True"):
                    getattr(found, quantity)


def test_order_of_species_and_codes(tmp_path):
    descriptor = DESCRIPTORS["Bispectrum"]
    own = create(tmp_path / "own", polynomials(descriptor), descriptor)
    energies = {own.evaluate(beryllide()).energy}
    other = polynomials(tm.Bispectrum(["Be", "W"], 3.0, 4))  # in another order than the descriptor
    reordered = create(tmp_path / "other", other, descriptor, species=["Be", "W"])
    for model, codes in ((reordered, "codes"), (own, "sorted_codes")):
        model = tm.PortableModel.load(model.folder, species_input=codes)
        expected = tm.PortableModel.load(model.folder, species_input=codes)
        expected._linear = None
        energies.add(model.evaluate(beryllide()).energy)
        for quantity in NAMES:
            one = getattr(model.evaluate(beryllide()), quantity)
            two = getattr(expected.evaluate(beryllide()), quantity)
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-13 * np.abs(two).max())
    assert len({round(energy, 6) for energy in energies}) >= 2
    with pytest.raises(tm.ModelError, match="forward failed"):
        tm.PortableModel.load(own.folder, species_input="atomic_numbers").evaluate(beryllide())


def test_pair_terms_are_added(tmp_path):
    descriptor = DESCRIPTORS["Bispectrum"]
    zbl = [{"kind": "zbl", "inner": 2.0, "outer": 5.0}]
    model = create(tmp_path / "m", polynomials(descriptor), descriptor, pair_terms=zbl)
    found, expected = model.evaluate(beryllide()), in_two_passes(model).evaluate(beryllide())
    np.testing.assert_allclose(found.forces, expected.forces, rtol=1e-12, atol=1e-12)
    assert found.energy == pytest.approx(expected.energy, rel=1e-13)


def squared_polynomials():
    """A class of the same name and with the same parameters, which computes something else."""

    class ElementPolynomials(tm.nn.ElementPolynomials):
        def forward(self, descriptor: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
            constant = self.constant.index_select(0, species)
            return constant + (descriptor**2 * self.linear.index_select(0, species)).sum(1)

    return ElementPolynomials(DESCRIPTORS["Bispectrum"])


@pytest.mark.parametrize("kind", ["quadratic", "same_name", "training_range", "float32"])
def test_others_are_run_by_torch(kind, tmp_path):
    descriptor = DESCRIPTORS["Bispectrum"]
    network, settings = polynomials(descriptor, degree=2 if kind == "quadratic" else 1), {}
    if kind == "same_name":
        network = squared_polynomials()
    elif kind == "training_range":
        limits = ([-1e9] * descriptor.width, [1e9] * descriptor.width)
        settings = {"training_range": dict.fromkeys(SPECIES, limits)}
    elif kind == "float32":
        settings = {"dtype": "float32"}
    model = create(tmp_path / "m", network, descriptor, **settings)
    assert model._linear is None
    if kind == "training_range":
        assert model.evaluate(beryllide()).extrapolation == []
