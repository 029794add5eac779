"""Damaged files for every reader: each is read, or is a TorchMLError; never a crash or a hang.

    PYTHONPATH=tests python -m reliability.mutated_inputs [--size N] [--seed S] [READER ...]

N files are made for each reader from good ones: bytes flipped, spans cut or repeated, numbers
replaced by others; in half of the archives this is done to a part, and the checksums are right.
Anything else than a result or a TorchMLError, more than 20 s for one file, or memory that keeps
growing is a failure, and the file is kept.
"""

import argparse
import io
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path

import numpy as np

SECONDS = 20  # for one file; good ones take milliseconds
MOST_MEMORY = 8 * 2**30  # address space in bytes; torch alone takes 2 GB of it
MOST_GROWTH = 64e6  # bytes, from a fifth of the files on
NUMBER = rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"
TOKENS = [
    *(b"nan", b"inf", b"-1", b"0", b"1e999", b"1e-320", b"99999999999999999999", b"2147483648"),
    *(b"true", b"null", b"Si", b"Xx", b"[", b"}", b'"', b"#", b"\0", b"\xff", b"\n", b" ", b"\t"),
    *("é²".encode(), b"../", b"/dev/zero", b"1" * 5000, b"[" * 2000),
]


# ---- good files, and how they are read


def descriptors():
    import torchml_core as tm

    functions = [("g1", []), ("g2", [[0.3, 1.0]]), ("g4", [[2, -1, 0.05]])]
    return {
        "SymmetryFunctions": tm.SymmetryFunctions(["C", "Si"], 4.0, functions),
        "SOAP": tm.SOAP(["C", "Si"], 4.0, 3, 2),
        "Bispectrum": tm.Bispectrum(["C", "Si"], 4.0, 4),
        "Xi": tm.Xi(3, 4.0, species=["C", "Si"]),
    }


def good_dat(folder):
    for name, descriptor in descriptors().items():
        descriptor.to_file(folder / f"{name}.dat")
    return folder.glob("*.dat")


def good_json(folder):
    for name, descriptor in descriptors().items():
        descriptor.to_file(folder / f"{name}.json")
    return folder.glob("*.json")


def good_models(folder, suffix):
    import stand_ins

    stand_ins.write_models(folder)
    return [path for path in folder.rglob(f"*{suffix}") if path.is_file()]


def good_param(folder):
    return good_models(folder, ".param")


def good_pt(folder):
    return good_models(folder, ".pt")


def good_pt2(folder):
    import torch
    from small_models import DescriptorNet

    program = torch.export.export(DescriptorNet(4), (torch.ones(3, 4, dtype=torch.float64),))
    torch.export.save(program, folder / "model.pt2")
    return [folder / "model.pt2"]


def good_card(folder):
    import torchml_core as tm
    from torchml_core.portable.model_json import card_text

    card = tm.ModelCard(
        species=["Si"], license="MIT", citation="A. Author", reference_energies={"Si": -1.5}
    )
    (folder / "model.json").write_text(card_text(card))
    return [folder / "model.json"]


def good_extxyz(folder):
    from ase.build import bulk
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.calc = SinglePointCalculator(
        atoms, energy=-1.0, forces=np.zeros((8, 3)), stress=np.zeros(6)
    )
    write(folder / "data.extxyz", [atoms, atoms])
    return [folder / "data.extxyz"]


def good_n2p2(folder):
    from n2p2_potentials import Potential

    Potential().write(folder)
    return [path for path in folder.iterdir() if path.is_file()]


def good_snap(folder):
    from snap_potentials import write_potential

    path = write_potential(folder)
    return [path, path.with_suffix(".snapparam")]


def read_descriptor(path):
    import torchml_core as tm

    tm.read_descriptor(path, kind=path.stem)


def read_parameters(path):
    from torchml_core.portable.parameters import read_parameters

    read_parameters(path)


def read_model_facts(path):
    from torchml_core.portable.model_file import content_to_load, model_facts

    model_facts(path)
    content_to_load(path.read_bytes(), path)


def read_card(path):
    from torchml_core.portable.model_json import read_card

    read_card(path)


def read_data(path):
    from torchml_core.dataset import Dataset

    Dataset.read(path)


def read_n2p2(path):
    import torchml_core as tm

    with tempfile.TemporaryDirectory() as out:
        tm.convert.n2p2(path.parent, Path(out, "model"), length_unit="Angstrom", energy_unit="eV")


def read_snap(path):
    import torchml_core as tm

    coefficients = path.with_suffix(".snapcoeff")
    with tempfile.TemporaryDirectory() as out:
        tm.convert.snap(coefficients, path.with_suffix(".snapparam"), Path(out, "model"))


READERS = {
    "descriptor.dat": (good_dat, read_descriptor),
    "descriptor.json": (good_json, read_descriptor),
    "model.param": (good_param, read_parameters),
    "model.json": (good_card, read_card),
    "model.pt": (good_pt, read_model_facts),
    "model.pt2": (good_pt2, read_model_facts),
    "data.extxyz": (good_extxyz, read_data),
    "n2p2": (good_n2p2, read_n2p2),
    "snap": (good_snap, read_snap),
}


# ---- damage


def mutated(content, rng):
    """Return the content with one to four faults."""
    for _ in range(rng.integers(1, 5)):
        n = max(len(content), 1)
        a = int(rng.integers(n))
        b = a + int(rng.integers(1, 1 + max(1, int(n ** rng.random()))))
        c = int(rng.integers(n))
        token = TOKENS[rng.integers(len(TOKENS))]
        numbers = [m.span() for m in re.finditer(NUMBER, content[:100_000])]
        match rng.integers(8 if numbers else 6):
            case 0:
                flipped = content[a] ^ 1 << int(rng.integers(8)) if content else 0
                content = content[:a] + bytes([flipped]) + content[a + 1 :]
            case 1:
                content = content[:a] + content[b:]
            case 2:
                content = content[:a]
            case 3:
                content = content[:c] + content[a:b] + content[c:]
            case 4:
                content = content[:a] + token + content[a:]
            case 5:
                content = content[:a] + token + content[b:]
            case _:
                first, last = numbers[rng.integers(len(numbers))]
                content = content[:first] + token + content[last:]
    return content


def mutated_archive(content, rng):
    """Return an archive with a part that has faults, and right checksums."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        chosen = names[rng.integers(len(names))]
        for name in names:
            part = old.read(name)
            new.writestr(name, mutated(part, rng) if name == chosen else part)
    return made.getvalue()


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Hang(Exception):
    pass


def on_alarm(number, frame):
    raise Hang(f"more than {SECONDS} s")


def try_reader(name, size, seed, folder):
    """Read the files; print the figures. Return whether there was no failure."""
    from torchml_core.errors import TorchMLError

    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, on_alarm)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    make, read = READERS[name]
    paths = sorted(make(folder))
    originals = [path.read_bytes() for path in paths]
    for path in paths:
        read(path)
    rng = np.random.default_rng(seed)
    failures, accepted, early = {}, 0, None
    begin = time.perf_counter()
    for k in range(size):
        which = int(rng.integers(len(paths)))
        path = paths[which]
        archive = zipfile.is_zipfile(path) and rng.random() < 0.5
        path.write_bytes((mutated_archive if archive else mutated)(originals[which], rng))
        signal.alarm(SECONDS)
        try:
            read(path)
            accepted += 1
        except TorchMLError:
            pass
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__} in {where.filename}:{where.lineno}: {str(error)[:200]}"
            if said not in failures:
                failures[said] = Path(tempfile.gettempdir(), f"{seed}-{k}-{path.name}")
                shutil.copy(path, failures[said])
        finally:
            signal.alarm(0)
        path.write_bytes(originals[which])
        if k == size // 5:
            early = resident()
    growth = resident() - early
    took = time.perf_counter() - begin
    print(
        f"{name}: {size} files, {accepted} read, {size - accepted} refused, {len(failures)} kinds"
        f" of failure, memory {growth / 1e6:+.1f} MB, {took:.0f} s",
        flush=True,
    )
    for said, kept in failures.items():
        print(f"    {said}\n    {kept}", flush=True)
    return not failures and growth < MOST_GROWTH


def in_process(name, size, seed):
    """Try a reader in a process of its own. Return whether there was no failure, nor a crash."""
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            good = False
            try:
                good = try_reader(name, size, seed, Path(folder))
            except BaseException:
                traceback.print_exc()
            os._exit(not good)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code < 0:
            kept = Path(tempfile.gettempdir(), f"{seed}-crash-{name}")
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            print(f"{name}: ended by signal {-code}; the file is in {kept}")
    return code == 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--size", type=int, default=100_000, help="files for each reader")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args(arguments)
    results = [in_process(name, told.size, told.seed) for name in told.readers or READERS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
