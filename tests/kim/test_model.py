"""A portable model as KIM sees it, without the KIM-API: threads, units, files."""

import shutil

import numpy as np
import pytest
import structures
import torch

import torchml_core as tm
from torchml_core.kim.model import THREADS, KimModel, Results, describe
from torchml_core.threads import MOST_THREADS

LENGTH, ENERGY = 0.1, 96.485  # nm; kJ/mol


@pytest.fixture(params=["StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si"])
def source(request, example_folders):
    return example_folders[request.param]


def arrays(n):
    shapes = ((1, 1), (n, 1), (n, 3), (1, 6), (n, 6))
    return Results(*(np.full(shape, np.nan) for shape in shapes))


def configuration(model, length=1.0):
    atoms = structures.rattled_silicon(1, seed=1)
    p = model.parameters
    c = tm.Configuration.from_atoms(atoms, p.cutoff, p.species, n_layers=p.n_layers)
    c.positions = c.positions * length
    return c


def test_results_in_other_units(source):
    model, kim = tm.PortableModel.load(source), KimModel(source, LENGTH, ENERGY)
    c = configuration(model)
    expected, results = model.evaluate(c), arrays(c.n_particles)
    if not kim.gives_particle_virials:
        results = results._replace(particle_virials=None)
    kim.compute(configuration(model, LENGTH), results)
    assert kim.cutoff == pytest.approx(LENGTH * model.cutoff, rel=1e-15)
    assert kim.influence_distance == pytest.approx(LENGTH * model.influence_distance, rel=1e-15)
    close = np.testing.assert_allclose
    close(results.energy, ENERGY * expected.energy, rtol=1e-12)
    close(results.particle_energies[:, 0], ENERGY * expected.particle_energies, rtol=1e-10)
    forces = expected.forces * ENERGY / LENGTH
    close(results.forces, forces, rtol=0, atol=1e-10 * np.abs(forces).max())
    virial = -ENERGY * voigt(expected.virial)
    scale = np.abs(virial).max()
    close(results.virial[0], virial, rtol=0, atol=1e-10 * scale)
    if kim.gives_particle_virials:
        virials = -ENERGY * voigt(expected.particle_virials)
        close(results.particle_virials, virials, rtol=0, atol=1e-10 * scale)
        alone = arrays(c.n_particles)._replace(energy=None, forces=None, virial=None)
        kim.compute(configuration(model, LENGTH), alone)
        np.testing.assert_array_equal(alone.particle_virials, results.particle_virials)


def test_what_is_asked_of_the_simulator_depends_on_the_convention(source):
    kim = KimModel(source)
    convention = tm.PortableModel.load(source).convention
    assert kim.needs_ghost_rows == (convention == "graph")
    assert kim.gives_particle_virials == (convention == "descriptor")


def voigt(virial):
    xx, yy, zz, yz, xz, xy = (
        (virial[..., a, b] + virial[..., b, a]) / 2
        for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    )
    return np.stack([xx, yy, zz, yz, xz, xy], axis=-1)


def test_the_caller_s_positions_are_left_alone(source):
    model, kim = tm.PortableModel.load(source), KimModel(source, LENGTH, ENERGY)
    c = configuration(model, LENGTH)
    positions, before = c.positions, c.positions.copy()
    kim.compute(c, Results(np.zeros((1, 1)), None, None, None, None))
    np.testing.assert_array_equal(positions, before)


@pytest.mark.parametrize(("text", "n"), [(None, 1), ("1", 1), ("3", 3)])
def test_threads(text, n, source, monkeypatch):
    monkeypatch.delenv(THREADS, raising=False)
    if text is not None:
        monkeypatch.setenv(THREADS, text)
    kim, model, inside = KimModel(source), tm.PortableModel.load(source), []
    assert kim.n_threads == n
    monkeypatch.setattr(kim._model, "evaluate", spy(kim._model.evaluate, inside))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        kim.compute(configuration(model), Results(np.zeros((1, 1)), None, None, None, None))
        assert inside == [(n, n)]
        assert torch.get_num_threads() == 2  # the process may be somebody else's
        monkeypatch.setattr(kim._model, "evaluate", spy(None, inside))
        with pytest.raises(TypeError):
            kim.compute(configuration(model), Results(np.zeros((1, 1)), None, None, None, None))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def spy(evaluate, inside):
    def spied(*arguments, **options):
        inside.append((torch.get_num_threads(), options["n_threads"]))
        return evaluate(*arguments, **options)

    return spied


@pytest.mark.parametrize("text", ["1000000", "9" * 5000])
def test_no_more_threads_than_are_of_use(text, source, monkeypatch):
    monkeypatch.setenv(THREADS, text)
    assert KimModel(source).n_threads == MOST_THREADS


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "", "²"])
def test_threads_that_are_no_number(text, source, monkeypatch):
    monkeypatch.setenv(THREADS, text)
    with pytest.raises(tm.InputError, match=f"{THREADS} = {text!r}: a whole number"):
        KimModel(source)


def test_files_are_written_as_they_were_read(source, tmp_path):
    kim = KimModel(source)
    names = kim.write(tmp_path)
    assert sorted(names) == sorted(f.name for f in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == (source / name).read_bytes()
    assert tm.PortableModel.load(tmp_path).species == ("Si",)


def test_the_folder_may_go_away(source, tmp_path):
    shutil.copytree(source, tmp_path / "model")
    kim, model = KimModel(tmp_path / "model"), tm.PortableModel.load(source)
    shutil.rmtree(tmp_path / "model")
    results = arrays(0)._replace(
        particle_energies=None, forces=None, virial=None, particle_virials=None
    )
    kim.compute(configuration(model), results)
    assert results.energy == pytest.approx(model.evaluate(configuration(model)).energy)
    assert kim.write(tmp_path)


def test_what_went_wrong_is_described():
    assert describe(tm.InputError("what to do")) == "what to do"
    with pytest.raises(KeyError) as caught:
        {}["x"]
    assert "test_model.py" in describe(caught.value)  # where it came from: nobody expected it
