"""Evaluate a portable model on a structure; check forces and stress by finite differences.

Run it as ``python demo.py [MODEL] [STRUCTURE]``: a folder with a portable model, and a file that
ASE can read.
"""

import argparse
import time
from pathlib import Path

import ase.io
import numpy as np
from ase.units import GPa
from rich.console import Console
from rich.table import Table

import torchml_core as tm

HERE = Path(__file__).parent
N_SHOWN = 5  # atoms whose forces are printed
N_CHECKED = 8  # atoms whose forces are compared with differences of the energy
N_TIMED = 10

console = Console(highlight=False, soft_wrap=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", nargs="?", type=Path, default=HERE / "models" / "SymmetryFunctions_Si"
    )
    parser.add_argument(
        "structure", nargs="?", type=Path, default=HERE / "structures" / "silicon.extxyz"
    )
    arguments = parser.parse_args()
    try:
        show(tm.PortableModel.load(arguments.model), ase.io.read(arguments.structure))
    except (tm.TorchMLError, OSError) as error:
        raise SystemExit(f"demo.py: {error}") from error


def show(model, atoms):
    """Print the results of the model for the atoms."""
    periodic = all(atoms.pbc)
    console.print(f"[bold]model[/]      {model!r}")
    console.print(f"[bold]structure[/]  {atoms.get_chemical_formula()}, pbc {atoms.pbc.tolist()}\n")

    prediction, seconds = timed(model, atoms)
    console.print(f"energy     {prediction.energy:14.6f} eV")
    console.print(f"           {prediction.energy / len(atoms):14.6f} eV per atom")
    console.print(
        f"time       {1e3 * seconds:14.2f} ms with neighbor lists, forces and virial:"
        f" {len(atoms) / seconds:,.0f} atoms/s\n"
    )
    console.print(force_table(atoms, prediction.forces))
    if periodic:
        console.print(stress_table(prediction.stress))

    indices = np.arange(min(N_CHECKED, len(atoms)))
    differences = tm.testing.finite_difference_forces(model, atoms, indices=indices)
    report("forces", "eV/Å", prediction.forces[indices], differences, f"{len(indices)} atoms")
    if periodic:
        differences = tm.testing.finite_difference_stress(model, atoms)
        report("stress", "eV/Å³", prediction.stress, differences, "6 components")


def timed(model, atoms):
    """Return the prediction per atom, and the shortest of a few times in seconds."""
    times = []
    for _ in range(N_TIMED):
        start = time.perf_counter()
        prediction = model.evaluate(atoms).fold()
        times.append(time.perf_counter() - start)
    return prediction, min(times)


def force_table(atoms, forces):
    table = Table(title=f"forces, eV/Å (the first {N_SHOWN} atoms)", title_justify="left")
    for heading in ("atom", "", "x", "y", "z"):
        table.add_column(heading, justify="right")
    for k, force in enumerate(forces[:N_SHOWN]):
        table.add_row(str(k), atoms.symbols[k], *(f"{component:.6f}" for component in force))
    norms = np.linalg.norm(forces, axis=1)
    largest = f"largest {norms.max():.6f} on atom {norms.argmax()}"
    table.caption = f"{largest}, sum {np.abs(forces.sum(0)).max():.1e}"
    return table


def stress_table(stress):
    table = Table(title="stress", title_justify="left")
    table.add_column("")
    for heading in ("xx", "yy", "zz", "yz", "xz", "xy"):
        table.add_column(heading, justify="right")
    table.add_row("eV/Å³", *(f"{component:.6f}" for component in stress))
    table.add_row("GPa", *(f"{component / GPa:.4f}" for component in stress))
    return table


def report(what, unit, values, differences, how_many):
    error = np.abs(values - differences).max()
    scale = np.abs(differences).max()
    relative = f" ({error / scale:.1e} of the largest)" if scale > 0 else ""
    console.print(
        f"{what} compared with differences of the energy, {how_many}:"
        f" error at most {error:.1e} {unit}{relative}"
    )


if __name__ == "__main__":
    main()
