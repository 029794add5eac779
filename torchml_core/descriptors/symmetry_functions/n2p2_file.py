"""Writing symmetry functions as a settings file of n2p2, ``input.nn``."""

from torchml_core import files
from torchml_core.descriptors.symmetry_functions.functions import N2P2_CORES, N2P2_CUTOFF_TYPES
from torchml_core.descriptors.symmetry_functions.n2p2_functions import TYPES
from torchml_core.errors import UnsupportedError


def write_n2p2(descriptor, path):
    """Write an ElementSymmetryFunctions; see its ``to_file``."""
    kinds = {name: kind for kind, name in N2P2_CUTOFF_TYPES.items()}
    lines = [
        f"number_of_elements {len(descriptor.species)}",
        f"elements {' '.join(descriptor.species)}",
        f"cutoff_type {kinds[descriptor.cutoff_function]} {descriptor.inner!r}",
        "# lengths in Angstrom",
    ]
    for element, own in descriptor.functions.items():
        for f in own:
            lines.append(f"symfunction_short {element} {_words(f)}")
    files.write_text("path", path, "\n".join(lines) + "\n")


def _words(f):
    if f.neighbors is None and f.type == "g5":
        raise UnsupportedError("n2p2 has no weighted g5")
    n_neighbors = len(f.neighbors or ())
    kind = next(k for k, t in TYPES.items() if (t.kind, t.n_neighbors) == (f.type, n_neighbors))
    names = TYPES[kind].words + TYPES[kind].optional
    values = _compact_words(f) if f.type.startswith("c") else f._asdict()
    return " ".join([str(kind), *(f.neighbors or ()), *(str(values[name]) for name in names)])


def _compact_words(f):
    (core,) = (word for word, name in N2P2_CORES.items() if name == f.core)
    words = {"left": f.radial[0], "cutoff": f.radial[1], "core": core + "a" * f.asymmetric}
    if f.angular is not None:
        words["angle_left"], words["angle_right"] = f.angular
    return words
