"""The folder of a portable model: what is in it, what is missing, and global state left alone."""

import pickle
import re
import shutil
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from small_models import CUTOFF, DescriptorNet, GraphNet, PairNet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.portable.parameters import write_parameters
from torchml_core.torch_device import VARIABLE

FUNCTIONS = [("g2", [[0.3, 0.0], [0.5, 1.5]])]


def raw(folder, **changes):
    arguments = {"model": PairNet(), "species": ["Si"], "cutoff": CUTOFF, "convention": "raw"}
    return tm.PortableModel.create(folder, **{**arguments, **changes})


def with_descriptor(folder, **changes):
    arguments = {
        "model": DescriptorNet(2),
        "species": ["Si"],
        "descriptor": tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS),
    }
    return tm.PortableModel.create(folder, **{**arguments, **changes})


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- create, load, save --------------------------------------------------------------------------


def test_attributes(tmp_path):
    model = with_descriptor(tmp_path / "silicon")
    assert model.species == ("Si",)
    assert model.cutoff == model.influence_distance == CUTOFF
    assert model.convention == "descriptor"
    assert model.parameters.descriptor == "SymmetryFunctions"
    assert model.descriptor == tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)
    assert model.folder == tmp_path / "silicon"
    assert model.device == torch.device("cpu")
    assert repr(model) == (
        "<PortableModel silicon: descriptor of SymmetryFunctions, Si, cutoff 3.2, model.pt on cpu>"
    )
    graph = tm.PortableModel.create(
        tmp_path / "graph",
        model=GraphNet(),
        species=["Si", "C"],
        cutoff=CUTOFF,
        convention="graph",
        n_layers=3,
    )
    assert graph.influence_distance == pytest.approx(3 * CUTOFF)
    assert graph.parameters.n_inputs == 6
    assert repr(graph) == (
        "<PortableModel graph: graph, Si C, cutoff 3.2, 3 layers, model.pt on cpu>"
    )
    assert raw(tmp_path / "raw").descriptor is None


def test_save_and_load_again(tmp_path):
    atoms = rattled_silicon(1)
    for name, make in (("raw", raw), ("descriptor", with_descriptor)):
        model = make(tmp_path / name)
        (tmp_path / name / "CMakeLists.txt").write_text("not the model's")
        model.save(tmp_path / "copies" / name)
        copy = tm.PortableModel.load(str(tmp_path / "copies" / name))
        assert copy.parameters == model.parameters
        assert copy.evaluate(atoms).energy == model.evaluate(atoms).energy
        with pytest.raises(tm.InputError, match=r"it has \w+\.\w+; a folder without a model"):
            model.save(tmp_path / "copies" / name)
        with pytest.raises(tm.InputError, match="folder = .*not of a file"):
            model.save(tmp_path / name / "CMakeLists.txt")


@pytest.mark.parametrize(
    "descriptor",
    [
        tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS, cutoff_function="poly2", std=0.3),
        tm.ElementSymmetryFunctions({"Si": [("g2", ("Si",), CUTOFF, eta) for eta in (0.1, 0.2)]}),
        tm.SphericalExpansion(["Si"], CUTOFF, 2, 0),
    ],
)
def test_a_descriptor_that_dat_files_cannot_store(descriptor, tmp_path):
    atoms = rattled_silicon(1)
    model = with_descriptor(tmp_path / "m", descriptor=descriptor)
    assert model.files == ("model.param", "descriptor.json", "model.pt", "model.json")
    energy = model.evaluate(atoms).energy
    model.save(tmp_path / "copy")
    for again in (tm.PortableModel.load(tmp_path / "copy"), pickle.loads(pickle.dumps(model))):
        assert again.descriptor == descriptor
        assert again.parameters.descriptor == type(descriptor).__name__
        assert again.evaluate(atoms).energy == energy
    (tmp_path / "copy" / "other.dat").write_text("")
    with pytest.raises(tm.InputError, match=r"there are 2: descriptor\.json, other\.dat"):
        tm.PortableModel.load(tmp_path / "copy")


def test_a_descriptor_that_nothing_can_store(tmp_path):
    class Own(tm.SymmetryFunctions):
        """Not registered."""

    with pytest.raises(tm.UnsupportedError, match=r"register_descriptor\(Own\) registers it"):
        with_descriptor(tmp_path / "m", descriptor=Own(["Si"], CUTOFF, FUNCTIONS), model=None)
    assert not (tmp_path / "m").exists()


def test_the_folder_may_go_away(tmp_path):
    model = with_descriptor(tmp_path / "m")
    shutil.rmtree(tmp_path / "m")
    model.evaluate(rattled_silicon(1))
    model.save(tmp_path / "copy")
    again = tm.PortableModel.load(tmp_path / "copy")
    assert again.files == model.files
    assert again.evaluate(rattled_silicon(1)).energy == model.evaluate(rattled_silicon(1)).energy


def test_other_files_are_left_alone(tmp_path):
    raw(tmp_path)
    (tmp_path / "CMakeLists.txt").write_text("x")
    (tmp_path / "notes.params").write_text("x")
    (tmp_path / "spare.pt").write_bytes(b"")
    (tmp_path / "spare.dat").write_bytes(b"")
    tm.PortableModel.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convention": None}, "convention = None: one of 'raw', 'graph', without a descriptor"),
        ({"convention": "descriptor"}, "convention = 'descriptor': one of 'raw', 'graph'"),
        ({"cutoff": None}, "cutoff = None"),
        ({"cutoff": -1.0}, "cutoff = -1.0"),
        ({"species": ["Silicon"]}, "species[0] = 'Silicon': the symbol of an element"),
        ({"n_layers": 2}, "n_layers = 2"),
        ({"model": "model.pt"}, "model is a str"),
    ],
)
def test_create_checks_its_arguments(changes, message, tmp_path):
    with pytest.raises(tm.InputError, match=re.escape(message)):
        raw(tmp_path / "m", **changes)


def test_create_checks_the_descriptor(tmp_path):
    for changes, message in (
        ({"convention": "raw"}, "convention = 'raw': one of None, 'descriptor', with a descriptor"),
        ({"species": ["Si", "C"]}, "its species are Si, those of the model Si, C"),
        ({"cutoff": CUTOFF - 0.1}, "cutoff 3.2 is beyond that of the model, 3.1"),
    ):
        with pytest.raises(tm.InputError, match=re.escape(message)):
            with_descriptor(tmp_path / "m", **changes)
        assert not (tmp_path / "m").exists()
    assert with_descriptor(tmp_path / "longer", cutoff=5.0).cutoff == 5.0


# --- folders that are wrong ----------------------------------------------------------------------


def test_no_folder(tmp_path):
    with pytest.raises(tm.MissingFileError, match="no such folder"):
        tm.PortableModel.load(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(tm.MissingFileError, match="file: not a folder"):
        tm.PortableModel.load(tmp_path / "file")


@pytest.mark.parametrize("suffix", [".param", ".dat"])
def test_none_or_several_files_of_a_kind(suffix, tmp_path):
    with_descriptor(tmp_path)
    (file,) = tmp_path.glob(f"*{suffix}")
    shutil.copy(file, tmp_path / f"other{suffix}")
    with pytest.raises(tm.InputError, match=rf"one \{suffix}.* there are 2: .*other"):
        tm.PortableModel.load(tmp_path)
    file.unlink()
    (tmp_path / f"other{suffix}").unlink()
    with pytest.raises(tm.MissingFileError, match=rf"no \{suffix}.* file"):
        tm.PortableModel.load(tmp_path)
    (tmp_path / "NN.params").write_text("as KLIFF writes for another driver")
    with pytest.raises(tm.MissingFileError, match=r"NN\.params belongs to another"):
        tm.PortableModel.load(tmp_path)


def test_the_name_inside_must_be_that_of_the_file(tmp_path):
    model = raw(tmp_path)
    (tmp_path / "model.json").unlink()
    edit(tmp_path / "model.param", "model.pt", "modell.pt")
    with pytest.raises(tm.MissingFileError, match=r"names the model modell\.pt.* has model\.pt"):
        tm.PortableModel.load(tmp_path)
    (tmp_path / "model.pt").unlink()
    with pytest.raises(tm.MissingFileError, match=r"has no \.pt or \.pt2 file"):
        tm.PortableModel.load(tmp_path)
    write_parameters(model.parameters, tmp_path / "model.param")
    (tmp_path / "model.pt").write_text("not a model")
    with pytest.raises(tm.ModelError, match=r"model\.pt: not a TorchScript model"):
        tm.PortableModel.load(tmp_path)


def test_param_truncated_at_every_line(tmp_path):
    with_descriptor(tmp_path)
    path = tmp_path / "model.param"
    lines = path.read_text().splitlines()
    for n in range(len(lines) - 1):
        path.write_text("\n".join(lines[:n]))
        with pytest.raises(tm.FileFormatError, match=r"model\.param:\d+: the file ends where"):
            tm.PortableModel.load(tmp_path)


def test_dat_file_against_param_file(tmp_path):
    with_descriptor(tmp_path)
    edit(tmp_path / "model.param", "\nSi\n", "\nGe\n")
    with pytest.raises(tm.FileFormatError, match=r"descriptor\.dat: .* are Si, those .* Ge"):
        tm.PortableModel.load(tmp_path)
    edit(tmp_path / "model.param", "\nGe\n", "\nSi\n")
    edit(tmp_path / "model.param", "3.2", "3.0")
    with pytest.raises(tm.FileFormatError, match=r"descriptor\.dat: its cutoff 3\.2 is beyond"):
        tm.PortableModel.load(tmp_path)
    edit(tmp_path / "model.param", "SymmetryFunctions", "Symmetry")
    with pytest.raises(tm.FileFormatError, match=r"model\.param:\d+: descriptor = 'Symmetry'"):
        tm.PortableModel.load(tmp_path)


def test_device(tmp_path, monkeypatch):
    raw(tmp_path)
    assert tm.PortableModel.load(tmp_path, device="cpu:0").device == torch.device("cpu:0")
    monkeypatch.setenv(VARIABLE, "nonesuch")
    with pytest.raises(tm.InputError, match=VARIABLE):
        tm.PortableModel.load(tmp_path)


# --- structures ----------------------------------------------------------------------------------


def nan_positions():
    atoms = rattled_silicon(1)
    atoms.positions[2, 1] = np.nan
    return atoms


def singular_cell():
    atoms = rattled_silicon(1)
    atoms.cell[2] = atoms.cell[1]
    return atoms


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (lambda: Atoms(), "no atoms"),
        (nan_positions, "position"),
        (singular_cell, "cell"),
        (lambda: Atoms("Fe"), "Fe"),
        (lambda: "silicon.xyz", "structure"),
        (lambda: None, "structure"),
        (lambda: Atoms("Si2", [[1, 1, 1]] * 2), "are both at"),
    ],
)
def test_structures_that_cannot_be_used(structure, message, tmp_path):
    model = with_descriptor(tmp_path)
    with pytest.raises(tm.InputError, match=message):
        model.evaluate(structure())


def test_evaluate_many_is_lazy(tmp_path):
    model = raw(tmp_path)

    def structures():
        yield rattled_silicon(1, seed=0)
        yield tm.Configuration.from_atoms(rattled_silicon(1, seed=1), CUTOFF)
        raise AssertionError("read too far")

    predictions = model.evaluate_many(structures(), forces=False, virial=True)
    for seed in (0, 1):
        p = next(predictions)
        assert p.energy == model.evaluate(rattled_silicon(1, seed=seed)).energy
        with pytest.raises(tm.InputError, match="forces"):
            _ = p.forces
        assert p.virial.shape == (3, 3)


# --- torch's global state ------------------------------------------------------------------------


@pytest.mark.parametrize("make", [raw, with_descriptor])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_modes_of_the_caller_do_not_matter(mode, make, tmp_path):
    atoms = rattled_silicon(1)
    expected = make(tmp_path / "outside").evaluate(atoms)
    with mode():
        model = make(tmp_path / "inside")
        inside = model.evaluate(atoms)
        state = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    assert state == (mode is torch.enable_grad, mode is torch.inference_mode)
    outside = model.evaluate(atoms)
    for p in (inside, outside):
        assert p.energy == expected.energy
        np.testing.assert_array_equal(p.forces, expected.forces)


def test_default_type_and_threads_are_left_alone(tmp_path):
    model, atoms = with_descriptor(tmp_path), rattled_silicon(1)
    expected = model.evaluate(atoms)
    threads = torch.get_num_threads()
    try:
        for dtype in (torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
            np.testing.assert_array_equal(model.evaluate(atoms).forces, expected.forces)
            assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.get_num_threads() == threads


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(f)(torch.ones(3)),
    "vmap": lambda f: torch.func.vmap(f)(torch.ones(2, 3)),
    "vjp": lambda f: torch.func.vjp(f, torch.ones(3)),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("forces", [True, False])
def test_inside_of_torch_func_s_transforms_an_error_says_why_not(transform, forces, tmp_path):
    model, atoms = raw(tmp_path), rattled_silicon(1)

    def energy(x):
        return x.sum() * model.evaluate(atoms, forces=forces, virial=forces).energy

    with pytest.raises(tm.UnsupportedError, match=r"torch\.func transforms"):
        TRANSFORMS[transform](energy)
    assert model.evaluate(atoms).energy  # it works again


@pytest.mark.slow
def test_torch_compile_leaves_evaluation_as_it_is(tmp_path):
    model, atoms = with_descriptor(tmp_path), rattled_silicon(1)

    @torch.compile(backend="eager")
    def compiled(x):
        return x + 1, model.evaluate(atoms)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it compiles
        x, p = compiled(torch.ones(2))
    assert x.tolist() == [2.0, 2.0]
    expected = model.evaluate(atoms)
    assert p.energy == expected.energy
    np.testing.assert_array_equal(p.forces, expected.forces)
