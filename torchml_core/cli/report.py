"""What ``torchml-core evaluate`` prints: a few structures one by one, many as a summary."""

import numpy as np
from ase import units

from torchml_core.cli.table import aligned

FEW_STRUCTURES = 20
FEW_ATOMS = 100


class Report:
    """Collects results one by one, and keeps only what may be printed."""

    def __init__(self):
        self.n_structures = self.n_atoms = 0
        self._rows = []  # of the first few
        self._first = None
        self._energies = _Range()
        self._forces = _Range()
        self._pressures = _Range()
        self._energy_deviations = _Range()
        self._force_deviations = _Range()

    def add(self, label, atoms, results):
        """Take the results (a dict of ASE's names) of a structure."""
        self.n_structures += 1
        self.n_atoms += len(atoms)
        energy, stress, largest = results["energy"], results.get("stress"), None
        deviations = _deviations(results, len(atoms))
        self._energies.add(energy / len(atoms), label)
        if "forces" in results:
            largest = np.linalg.norm(results["forces"], axis=1).max()
            self._forces.add(largest, label)
        if stress is not None:
            self._pressures.add(_pressure(stress), label)
        for found, value in zip(
            (self._energy_deviations, self._force_deviations), deviations, strict=False
        ):
            found.add(value, label)
        if self._first is None:
            self._first = (label, atoms, results)
        if len(self._rows) < FEW_STRUCTURES:
            self._rows.append((label, len(atoms), energy, largest, stress, deviations))

    def lines(self, seconds, earlier=None):
        """Return the lines to print after ``seconds`` of work, apart from EarlierResults."""
        if self.n_structures == 0:
            return
        if self.n_structures == 1:
            yield from _one(*self._first)
        elif self.n_structures <= FEW_STRUCTURES:
            yield from _table(self._rows)
        else:
            yield from self._summary()
        n_atoms = self.n_atoms - (earlier.n_atoms if earlier else 0)
        yield (
            f"{_count(self.n_structures, 'structure')}, {_count(self.n_atoms, 'atom')} "
            f"in {seconds:.3g} s: {n_atoms / seconds:.4g} atoms/s"
        )
        if earlier and earlier.n_taken:
            yield f"{_count(earlier.n_taken, 'structure')} of these had results in {earlier.path}"

    def _summary(self):
        yield f"{'':<17} {'lowest':>14} {'mean':>14} {'highest':>14}  where lowest, highest"
        for name, found in (
            ("energy [eV/atom]", self._energies),
            ("max |F| [eV/Å]", self._forces),
            ("pressure [GPa]", self._pressures),
            ("std E [eV/atom]", self._energy_deviations),
            ("max std F [eV/Å]", self._force_deviations),
        ):
            if found.n:
                yield (
                    f"{name:<17} {found.lowest[0]:14.6f} {found.mean:14.6f} "
                    f"{found.highest[0]:14.6f}  {found.lowest[1]}, {found.highest[1]}"
                )


class _Range:
    """Lowest, mean and highest of numbers, and where the lowest and the highest were found."""

    def __init__(self):
        self.n, self._sum = 0, 0.0
        self.lowest, self.highest = (np.inf, None), (-np.inf, None)

    def add(self, value, label):
        self.n += 1
        self._sum += value
        self.lowest = min(self.lowest, (value, label), key=lambda pair: pair[0])
        self.highest = max(self.highest, (value, label), key=lambda pair: pair[0])

    @property
    def mean(self):
        return self._sum / self.n


def _one(label, atoms, results):
    """All results of one structure."""
    yield f"{label}: {atoms.get_chemical_formula()}, periodic in {_periodic_directions(atoms)}"
    per_atom = results["energy"] / len(atoms)
    yield f"energy   {results['energy']:.8f} eV   ({per_atom:.8f} eV/atom)"
    deviations = _deviations(results, len(atoms))
    if deviations:
        yield f"std      {results['energy_std']:.8f} eV   ({deviations[0]:.8f} eV/atom)"
    if "stress" in results:
        yield "stress   " + " ".join(f"{name:>13}" for name in ("xx", "yy", "zz", "yz", "xz", "xy"))
        yield "         " + " ".join(f"{s:13.8f}" for s in results["stress"]) + "   eV/Å³"
        yield f"pressure {_pressure(results['stress']):.6f} GPa"
    if "forces" not in results:
        return
    sizes = np.linalg.norm(results["forces"], axis=1)
    yield f"forces   largest {sizes.max():.8f} eV/Å, on atom {sizes.argmax()}"
    if deviations:
        atom = int(results["forces_std"].max(axis=1).argmax())
        yield f"         largest std of a component {deviations[1]:.8f} eV/Å, on atom {atom}"
    if len(atoms) > FEW_ATOMS:
        yield f"         (of {len(atoms)} atoms; -o writes them all)"
        return
    for atom, (symbol, force) in enumerate(zip(atoms.symbols, results["forces"], strict=True)):
        yield f"{atom:>8} {symbol:<2} " + " ".join(f"{f:13.8f}" for f in force)


def _table(rows):
    """Rows (label, number of atoms, results) as a table, and another one of stresses."""
    n_deviations = len(rows[0][-1])
    names = ("std E [eV/atom]", "max std F [eV/Å]")[:n_deviations]
    cells = [("structure", "atoms", "energy [eV]", "[eV/atom]", "max |F| [eV/Å]", *names)]
    stresses = [("stress [eV/Å³]", "xx", "yy", "zz", "yz", "xz", "xy")]
    for label, n_atoms, energy, largest_force, stress, deviations in rows:
        force = "" if largest_force is None else f"{largest_force:.6f}"
        numbers = f"{energy:.6f}", f"{energy / n_atoms:.6f}", force
        cells.append((label, str(n_atoms), *numbers, *(f"{d:.6f}" for d in deviations)))
        if stress is not None:
            stresses.append((label, *(f"{s:.6f}" for s in stress)))
    yield from aligned(cells)
    if len(stresses) > 1:
        yield ""
        yield from aligned(stresses)


def _deviations(results, n_atoms):
    """Of a committee: that of the energy per atom, and the largest of the forces' components."""
    found = []
    if "energy_std" in results:
        found.append(results["energy_std"] / n_atoms)
    if "forces_std" in results:
        found.append(np.max(results["forces_std"]))
    return found


def _periodic_directions(atoms):
    return " ".join(name for name, on in zip("abc", atoms.pbc, strict=True) if on) or "no direction"


def _pressure(stress):
    """GPa, positive under compression."""
    return -np.mean(stress[:3]) / units.GPa


def _count(n, noun):
    return f"{n} {noun}{'' if n == 1 else 's'}"
