"""The floating type that models are given: float64 first, float32 only where torch refuses that."""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from small_models import CUTOFF, DescriptorNet, GraphNet, PairNet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.finite_differences import finite_difference_forces
from torchml_core.portable.evaluation import ABOUT_DTYPES

F32, F64 = torch.float32, torch.float64
RAW = {"species": ["Si"], "cutoff": CUTOFF, "convention": "raw"}
DESCRIPTOR = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0.0], [0.5, 1.5]])])
create = tm.PortableModel.create


class Constants(PairNet):
    """Geometry in the type of the positions, times one constant of float32."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([1.0], dtype=F32))


class OnFloat64Geometry(torch.nn.Module):
    """Pairs expanded in buffers of float64 by a matrix product, then a network of float32."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.register_buffer("basis", torch.rand(2, 4, generator=generator, dtype=F64))
        self.weights = torch.nn.Parameter(torch.rand(4, 1, generator=generator, dtype=F32))

    def forward(self, species, coords, n_neigh, nlist, contributing):
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        geometry = torch.stack([(1 - r / 3.2) ** 3, (1 - r / 3.2) ** 4], dim=1) @ self.basis
        return torch.sum(torch.tanh(geometry.to(torch.float32) @ self.weights))


class SinglePairNet(PairNet):
    """Sums into a tensor of float32: takes no other positions."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        zeros = torch.zeros(len(coords), dtype=torch.float32)
        return torch.sum(zeros.index_add(0, i, (1 - r / self.cutoff) ** 3))


class Energies(torch.nn.Module):
    """As NequIP with model_dtype float32, its default: geometry in float64, a network of float32.

    Energies are scaled, shifted and summed in float64.
    """

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.first = torch.nn.Parameter(torch.rand(4, 8, generator=generator, dtype=F32))
        self.last = torch.nn.Parameter(torch.rand(8, 1, generator=generator, dtype=F32))
        self.register_buffer("shifts", torch.tensor([-157.25, -1033.5], dtype=F64))

    def energy(self, species, coords, i, j, contributing):
        r = torch.sum((coords[j] - coords[i]) ** 2, dim=1).sqrt()
        powers = torch.stack([(1 - r / 3.2) ** k for k in range(3, 7)], dim=1)
        edges = torch.tanh(powers.to(self.first.dtype) @ self.first)
        atoms = torch.zeros(len(coords), 8, dtype=edges.dtype, device=coords.device)
        energies = (atoms.index_add(0, i, edges) @ self.last)[:, 0].to(torch.float64)
        return torch.sum((energies * 0.5 + self.shifts[species]) * (1 - contributing))

    def forward(self, species, coords, graph_1, contributing):
        return self.energy(species, coords, graph_1[0], graph_1[1], contributing)


class LikeNequIP(Energies):
    """It also returns its own forces, and refuses other positions in its own words."""

    def forward(self, species, coords, graph_1, contributing):
        if coords.dtype != torch.float64:
            raise ValueError("positions of another type")
        energy = self.energy(species, coords, graph_1[0], graph_1[1], contributing)
        found = torch.autograd.grad([energy], [coords])[0]
        assert found is not None
        return energy, -found


class Wide(torch.nn.Module):
    """Its rounding errors depend on the number of atoms, as do those of large matrix products."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.first = torch.nn.Parameter(torch.rand(1, 256, generator=generator, dtype=F32))
        self.last = torch.nn.Parameter(torch.rand(256, 1, generator=generator, dtype=F32))

    def forward(self, species, coords, n_neigh, nlist, contributing):
        assert len(nlist) > 0
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        zeros = torch.zeros(len(coords), dtype=coords.dtype)
        atoms = zeros.index_add(0, i, (1 - r / 3.2) ** 3).to(self.first.dtype)
        hidden = torch.tanh(atoms[:, None] @ self.first) @ self.last
        energies = hidden[:, 0].to(coords.dtype)[contributing == 1]
        forces = torch.autograd.grad([-energies.sum()], [coords])[0]
        assert forces is not None
        return energies, forces


class Unnamed(torch.nn.Module):
    """Creates tensors without saying their type, as is written under set_default_dtype(float64)."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([1.0, 0.6], dtype=F64))

    def forward(self, species, coords, n_neigh, nlist, contributing):
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        centers = torch.linspace(1.0, 3.0, 7)  # a constant of the frozen module
        pairs = torch.sum(torch.exp(-((r[:, None] - centers) ** 2)), dim=1)
        pairs = pairs * (1 - r / 3.2) ** 3 * self.scale[species[i]]
        return torch.zeros(len(coords)).index_add(0, i, pairs)[contributing == 1]


class Constant32(Unnamed):
    """The same with a type for the sum: the centers are a few constants of float32."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        centers = torch.linspace(1.0, 3.0, 7)
        pairs = torch.sum(torch.exp(-((r[:, None] - centers) ** 2)), dim=1)
        pairs = pairs * (1 - r / 3.2) ** 3 * self.scale[species[i]]
        zeros = torch.zeros(len(coords), dtype=coords.dtype)
        return zeros.index_add(0, i, pairs)[contributing == 1]


class SpecialLoneAtoms(PairNet):
    """In float64, but where there are no pairs it mixes types."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        if len(nlist) == 0:
            none = torch.zeros(len(coords), dtype=torch.float32)
            return none.index_add(0, torch.arange(len(coords)), coords[:, 0] * 0.0)
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        zeros = torch.zeros(len(coords), dtype=coords.dtype)
        pairs = self.scale[species[i]] * (1 - r / self.cutoff) ** 3
        return zeros.index_add(0, i, pairs)[contributing == 1]


class EarlyReturn(SinglePairNet):
    """Takes float32 only, but anything where there are no pairs."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        if len(nlist) == 0:
            return torch.sum(coords**2) * 0.0 + torch.sum((coords + 1 / 3) * 0.1)
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        zeros = torch.zeros(len(coords), dtype=torch.float32)
        return torch.sum(zeros.index_add(0, i, (1 - r / self.cutoff) ** 3))


@pytest.fixture(params=[F32, F64], ids=str)
def default_dtype(request):
    """The caller's default type, which must not matter."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


@pytest.mark.parametrize("network", [LikeNequIP, Energies])
def test_networks_like_nequip(network, tmp_path, default_dtype):
    """float32 weights that expect positions in float64."""
    of = {"species": ["Si", "C"], "cutoff": CUTOFF, "convention": "graph"}
    model = create(tmp_path, model=network(), returns_forces=network is LikeNequIP, **of)
    atoms = rattled_silicon(1)
    atoms.symbols[::3] = "C"
    p = model.evaluate(atoms)
    assert model.dtype == F64
    c = tm.Configuration.from_atoms(atoms, CUTOFF, ["Si", "C"])
    tensors = model._calling.inputs(c, F64, model.device).tensors
    tensors[1].requires_grad_()
    energy, forces = LikeNequIP()(*tensors)
    assert p.energy == pytest.approx(energy.item(), rel=1e-14)
    scale = np.abs(p.forces).max()
    np.testing.assert_allclose(p.forces, forces[: c.n_particles], rtol=0, atol=1e-6 * scale)
    assert torch.get_default_dtype() == default_dtype


@pytest.mark.parametrize(
    ("network", "convention", "expected"),
    [(LikeNequIP, "graph", -157.25 - 2 * 1033.5), (Wide, "raw", 0.0)],
)
def test_lone_atoms_of_networks_like_nequip(network, convention, expected, tmp_path):
    """It fails on them; the rounding errors of float32 are no fault."""
    of = {"species": ["Si", "C"], "cutoff": CUTOFF, "convention": convention}
    model = create(tmp_path, model=network(), returns_forces=True, **of)
    p = model.evaluate(Atoms("CSiC", [[0, 0, 0], [0, 0, 50], [0, 50, 0]]))
    assert p.energy == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert not p.forces.any()
    assert model.dtype == F64


def test_tensors_that_a_model_creates(tmp_path, default_dtype):
    """Their type is torch's default one; neither the caller's nor a refusal costs digits."""
    atoms = rattled_silicon(1)
    found = {}
    for network in (Unnamed, Constant32):
        model = create(tmp_path / network.__name__, model=network(), **RAW)
        p = found[network] = model.evaluate(atoms).fold()
        assert model.dtype == F64
        expected = finite_difference_forces(model, atoms, indices=[0, 5])
        np.testing.assert_allclose(p.forces[[0, 5]], expected, rtol=0, atol=1e-8)
        again = tm.PortableModel.load(tmp_path / network.__name__).evaluate(atoms, forces=False)
        assert again.energy == p.energy
    assert torch.get_default_dtype() == default_dtype
    torch.set_default_dtype(F64)
    c = tm.Configuration.from_atoms(atoms, CUTOFF)
    tensors = model._calling.inputs(c, F64, model.device).tensors
    assert found[Unnamed].energy == pytest.approx(Unnamed()(*tensors).sum().item(), rel=1e-14)
    # the original driver's default type is float32, so it rounds these centers
    difference = abs(found[Constant32].energy - found[Unnamed].energy)
    assert 0 < difference < 1e-6
    torch.set_default_dtype(F32)
    expected = Constant32()(*tensors).sum().item()
    assert found[Constant32].energy == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("network", "dtype"), [(SpecialLoneAtoms, F64), (EarlyReturn, F32)])
def test_lone_atoms_do_not_decide(network, dtype, tmp_path):
    """Whatever comes first, results and types are the same."""
    crystal, lone = rattled_silicon(1), rattled_silicon(1)[:1]
    lone.pbc = False
    create(tmp_path / "m", model=network(), **RAW)
    found = []
    for order in ([lone, crystal, lone], [crystal, lone, crystal]):
        model = tm.PortableModel.load(tmp_path / "m")
        energies = [model.evaluate(atoms).energy for atoms in order]
        assert model.dtype == dtype
        assert energies[0] == energies[2]
        found.append(energies[:2])
    assert found[0] == found[1][::-1]


class SpecialDimers(PairNet):
    """In float64, but two atoms are evaluated in float32."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        i = torch.repeat_interleave(torch.nonzero(contributing)[:, 0], n_neigh)
        r = torch.sum((coords[nlist.to(torch.int64)] - coords[i]) ** 2, dim=1).sqrt()
        zeros = torch.zeros(len(coords), dtype=coords.dtype)
        if len(coords) == 2:
            zeros = torch.zeros(2, dtype=torch.float32)
        pairs = (1 - r / self.cutoff) ** 3
        return zeros.index_add(0, i, pairs)[contributing == 1]


def test_a_refusal_after_the_decision_is_an_error(tmp_path):
    """Not a change to float32, in which all later results would have fewer digits."""
    dimer, crystal = rattled_silicon(1)[:2], rattled_silicon(1)
    dimer.pbc = False
    create(tmp_path / "m", model=SpecialDimers(), **RAW)
    message = "float64, which it takes for other structures"
    for first, second in ((dimer, crystal), (crystal, dimer)):
        model = tm.PortableModel.load(tmp_path / "m")
        for atoms in (first, second, first):
            if atoms is dimer:
                with pytest.raises(tm.ModelError, match=message):
                    model.evaluate(atoms)
            else:
                model.evaluate(atoms)
        assert model.dtype == F64
    assert tm.PortableModel.load(tmp_path / "m", dtype="float32").evaluate(dimer).energy > 0


def test_a_model_that_checks_the_type_itself(tmp_path):
    class Checks(SinglePairNet):
        def forward(self, species, coords, n_neigh, nlist, contributing):
            if coords.dtype != torch.float32:
                raise ValueError("positions must be float32")
            return torch.sum((coords[1:] - coords[0]) ** 2)

    model = create(tmp_path, model=Checks(), **RAW)
    assert model.evaluate(rattled_silicon(1)).energy > 0
    assert model.dtype == F32


def test_float32_networks_are_given_float32(tmp_path):
    atoms = rattled_silicon(1)
    predictions = {}
    for dtype in (F32, F64):
        kinds = {
            "descriptor": {"model": DescriptorNet(2, dtype), "descriptor": DESCRIPTOR},
            "graph": {
                "model": GraphNet(dtype=dtype),
                "cutoff": CUTOFF,
                "convention": "graph",
                "n_layers": 3,
            },
        }
        for kind, arguments in kinds.items():
            model = create(tmp_path / f"{kind}{dtype}", species=["Si"], **arguments)
            assert model.dtype == F64
            predictions[kind, dtype] = model.evaluate(atoms)
            assert model.dtype == dtype
    for kind in kinds:
        single, double = predictions[kind, F32], predictions[kind, F64]
        assert single.energy == pytest.approx(double.energy, rel=1e-5)
        assert single.energy != double.energy
        assert single.forces.dtype == np.float64
        scale = np.abs(double.forces).max()
        np.testing.assert_allclose(single.forces, double.forces, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("network", [Constants, PairNet])
def test_constants_of_float32_do_not_cost_digits(network, tmp_path):
    model, atoms = create(tmp_path, model=network(), **RAW), rattled_silicon(1)
    p = model.evaluate(atoms).fold()
    assert model.dtype == F64
    expected = finite_difference_forces(model, atoms, indices=[0, 5])
    np.testing.assert_allclose(p.forces[[0, 5]], expected, rtol=0, atol=1e-8)


def test_a_float32_network_on_float64_geometry(tmp_path):
    model, atoms = create(tmp_path, model=OnFloat64Geometry(), **RAW), rattled_silicon(1)
    p = model.evaluate(atoms)
    assert model.dtype == F64
    inputs = model._calling.inputs(tm.Configuration.from_atoms(atoms, CUTOFF), F64, model.device)
    assert p.energy == OnFloat64Geometry()(*inputs.tensors).item()


@pytest.mark.parametrize("far", [0.0, 3e5])
def test_float32_counts_from_an_origin_near_the_atoms(far, tmp_path):
    model, atoms = create(tmp_path, model=SinglePairNet(), **RAW), rattled_silicon(1)
    expected = create(tmp_path / "double", model=PairNet(), **RAW).evaluate(atoms)
    unit = expected.energy / model.evaluate(atoms).energy  # PairNet has a scale
    atoms.positions += far
    p = model.evaluate(atoms)
    assert model.dtype == F32
    assert unit * p.energy == pytest.approx(expected.energy, rel=2e-6)
    forces = unit * p.fold().forces
    np.testing.assert_allclose(forces, expected.fold().forces, rtol=0, atol=2e-5)
    # forces of this precision do not add up to zero: far away, only an origin near them helps
    np.testing.assert_allclose(unit * p.virial, expected.virial, rtol=0, atol=1e-3)
    # one particle far away does not move the origin of the others
    c = tm.Configuration.from_atoms(atoms, CUTOFF)
    c.positions[-1] += 1e6
    coords = model._calling.inputs(c, F32, model.device).tensors[1].numpy().astype(float)
    assert np.abs(coords[:-1]).max() < 20


def test_the_type_is_found_out_once(tmp_path):
    model, atoms = (
        create(tmp_path, model=DescriptorNet(2, F32), species=["Si"], descriptor=DESCRIPTOR),
        rattled_silicon(1),
    )
    given, call = [], model._executor.__class__.__call__

    class Spy(model._executor.__class__):
        def __call__(self, *tensors):
            given.append(tensors[0].dtype)
            return call(self, *tensors)

    model._executor.__class__ = Spy
    first = model.evaluate(atoms)
    assert model.evaluate(atoms).energy == first.energy
    assert given == [F64, F32, F32]


def test_other_errors_are_no_reason_for_float32(tmp_path):
    wide = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0.0]])])
    for dtype in (F32, F64):
        network = DescriptorNet(5, dtype)
        model = create(tmp_path / str(dtype), model=network, species=["Si"], descriptor=wide)
        with pytest.raises(tm.ModelError, match=r"8 atoms, 1 values.*shapes cannot.*5x6"):
            model.evaluate(rattled_silicon(1))
        assert model.dtype == F64


@pytest.mark.parametrize("dtype", ["float32", np.float32, torch.float32])
def test_a_type_that_is_asked_for(dtype, tmp_path):
    atoms = rattled_silicon(1)
    network = {"model": Constants(), **RAW}
    double = create(tmp_path / "double", **network).evaluate(atoms)
    made = create(tmp_path / "made", dtype=dtype, **network)
    loaded = tm.PortableModel.load(tmp_path / "double", dtype=dtype)
    loaded.save(tmp_path / "saved")
    for model in (made, loaded, tm.PortableModel.load(tmp_path / "saved")):
        assert model.dtype == F32
        assert model.evaluate(atoms).energy == pytest.approx(double.energy, rel=1e-5)
        assert model.evaluate(atoms).energy != double.energy
    assert tm.PortableModel.load(tmp_path / "made", dtype="float64").evaluate(atoms).energy == (
        double.energy
    )
    # asked for, it is not changed: the error is torch's
    single = {"model": DescriptorNet(2, F32), "species": ["Si"], "descriptor": DESCRIPTOR}
    with pytest.raises(tm.ModelError, match="same dtype"):
        create(tmp_path / "single", dtype="float64", **single).evaluate(atoms)


def test_a_type_that_is_none(tmp_path):
    for wrong in ("float16", torch.float16, "single precision", 32):
        with pytest.raises(tm.InputError, match=r"dtype = .*: float64 or float32 is needed"):
            create(tmp_path / "m", model=PairNet(), dtype=wrong, **RAW)
        assert not (tmp_path / "m").exists()


def test_half_precision(tmp_path):
    network = {"model": DescriptorNet(2, torch.float16), "species": ["Si"]}
    model = create(tmp_path, descriptor=DESCRIPTOR, **network)
    exact = create(tmp_path / "d", model=DescriptorNet(2), species=["Si"], descriptor=DESCRIPTOR)
    atoms = rattled_silicon(1)
    assert model.evaluate(atoms).energy == pytest.approx(exact.evaluate(atoms).energy, rel=1e-2)
    assert model.dtype == torch.float16


@pytest.mark.slow
def test_exported_programs_are_given_what_they_take(tmp_path):
    rows = torch.export.Dim("rows", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        program = torch.export.export(
            DescriptorNet(2, F32), (torch.rand(4, 2),), dynamic_shapes=({0: rows},)
        )
    of = {"species": ["Si"], "descriptor": DESCRIPTOR}
    model = create(tmp_path / "exported", model=program, **of)
    script = create(tmp_path / "script", model=DescriptorNet(2, F32), **of)
    atoms = rattled_silicon(1)
    assert model.evaluate(atoms).energy == script.evaluate(atoms).energy
    assert model.dtype == script.dtype == F32


def test_autocast_of_the_caller_does_not_matter(tmp_path):
    single = {"model": DescriptorNet(2, F32), "species": ["Si"], "descriptor": DESCRIPTOR}
    model, atoms = create(tmp_path, **single), rattled_silicon(1)
    expected = model.evaluate(atoms)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        p = model.evaluate(atoms)
        assert torch.is_autocast_enabled("cpu")
    assert p.energy == expected.energy
    np.testing.assert_array_equal(p.forces, expected.forces)


def test_torch_s_messages_about_types_are_known():
    """A message that is not recognized would make a float32 model fail."""
    double, single = torch.ones(3, 3, dtype=F64), torch.ones(3, 3, dtype=F32)
    rows = torch.zeros(3, dtype=torch.int64)
    square = rows.expand(3, 3)
    operations = [
        lambda: double @ single,
        lambda: torch.nn.functional.linear(double, double, single[0]),
        lambda: torch.bmm(double[None], single[None]),
        lambda: torch.dot(double[0], single[0]),
        lambda: torch.mv(double, single[0]),
        lambda: single.index_add(0, rows, double),
        lambda: single.scatter_add(0, square, double),
        lambda: single.scatter_reduce(0, square, double, "sum"),
        lambda: single.index_put((rows,), double),
        lambda: single.index_copy(0, rows, double),
        lambda: torch.nn.functional.layer_norm(double, (3,), single[0], single[0]),
        lambda: torch.nn.functional.conv1d(double[None], single[:, :, None]),
        lambda: torch.nn.GRU(3, 3)(double),
        lambda: torch.nn.functional.prelu(double, single[0, :1]),
        lambda: torch.nn.functional.scaled_dot_product_attention(double, single, single),
        lambda: torch.tensordot(double, single, 1),
        lambda: torch.lerp(double, single, 0.5),
        lambda: torch.complex(double, single),
        lambda: torch.cdist(double, single),
        lambda: torch.linalg.solve(double, single),
        lambda: torch.add(double, double, out=torch.empty(3, 3, dtype=torch.int32)),
    ]
    for operation in operations:
        with pytest.raises((RuntimeError, ValueError)) as caught:
            operation()
        assert ABOUT_DTYPES.search(str(caught.value)), caught.value
    for other in (lambda: double @ double[:2], lambda: double[5], lambda: torch.stack([])):
        with pytest.raises((RuntimeError, IndexError)) as caught:
            other()
        assert not ABOUT_DTYPES.search(str(caught.value)), caught.value
