"""What ``torchml-core plot`` draws: reads descriptor, model and structures."""

from pathlib import Path

import numpy as np

from torchml_core import checks
from torchml_core.configuration import Configuration
from torchml_core.descriptors.files import read_descriptor
from torchml_core.errors import InputError
from torchml_core.plots import pictures
from torchml_core.portable.model import PortableModel
from torchml_core.structure_files.structures import read_structures


def draw(what, path, sources, output, *, element, color, distance, kind):
    """Write a picture; raise InputError for a combination that has no meaning."""
    pictures.check_picture_file("--output", output)
    model = PortableModel.load(path) if Path(path).is_dir() else None
    descriptor = read_descriptor(path, kind) if model is None else model.descriptor
    if descriptor is None:
        raise InputError(
            f"{path}: a model with a descriptor is needed; this one is {model.convention}"
        )
    if what == "functions":
        elements = None if element is None else [element]
        figure = pictures.draw_functions(descriptor, elements, distance)
    else:
        if not sources:
            raise InputError(f"--what {what}: STRUCTURES are needed")
        structures = _structures(sources)
        if what == "neighbors":
            figure = pictures.draw_neighbors(structures, descriptor.cutoff)
        else:
            rows = _Rows(descriptor, structures, element)
            figure = (
                pictures.draw_map(rows.values, rows.colors(color, model), COLORS[color])
                if what == "map"
                else pictures.draw_distributions(rows.values, descriptor.labels, rows.limits(model))
            )
    figure.savefig(output, dpi=200)


COLORS = {"element": "element", "error": "error of the force [eV/Å]", "structure": "structure"}


class _Rows:
    """The descriptor's values of all atoms, or of those of one element."""

    def __init__(self, descriptor, structures, element):
        self._structures = structures
        symbols = np.concatenate([s.get_chemical_symbols() for s in structures])
        if element is None:
            self._chosen = np.ones(len(symbols), dtype=bool)
        else:
            self._chosen = symbols == checks.one_of("--element", element, sorted(set(symbols)))
        self.elements = symbols[self._chosen]
        values = [
            descriptor.compute(
                Configuration.from_atoms(s, descriptor.cutoff, descriptor.species or None)
            )
            for s in structures
        ]
        self.values = np.concatenate(values)[self._chosen]

    def colors(self, color, model):
        """One for each row."""
        if color == "element":
            return self.elements
        if color == "structure":
            counts = [len(s) for s in self._structures]
            return np.repeat(np.arange(len(counts)), counts)[self._chosen]
        if model is None:
            raise InputError("--color error: the folder of a model is needed")
        errors = []
        for k, atoms in enumerate(self._structures):
            if atoms.calc is None or "forces" not in atoms.calc.results:
                raise InputError(f"--color error: structure {k} has no forces to compare with")
            reference = atoms.calc.results["forces"]
            found = model.evaluate(atoms).fold().forces
            errors.append(np.linalg.norm(found - reference, axis=1))
        return np.concatenate(errors)[self._chosen]

    def limits(self, model):
        """The training range of the element, if there is one element and the model knows it."""
        card = None if model is None else model.card
        known = None if card is None else card.training_range
        elements = set(self.elements)
        if not known or len(elements) != 1 or next(iter(elements)) not in known:
            return None
        found = known[next(iter(elements))]
        return np.asarray(found.min), np.asarray(found.max)


def _structures(sources):
    found = [item.atoms() for item in read_structures(list(sources))]
    if not found:
        raise InputError("STRUCTURES: the files contain none")
    return found
