"""Published SNAP potentials as energies of Bispectrum, and what LAMMPS computes with them."""

import numpy as np

import torchml_core as tm

FLAGS = {
    "switchflag": ("switch", True),
    "bzeroflag": ("subtract_isolated", True),
    "bnormflag": ("normalize", False),
    "chemflag": ("chemical", False),
    "wselfallflag": ("self_in_all", False),
}


def data_lines(path):
    lines = (line.partition("#")[0].split() for line in path.read_text().splitlines())
    return [words for words in lines if words]


class SnapPotential:
    """A linear or quadratic function of the bispectrum, for each element."""

    def __init__(self, coeff, param):
        keys = {words[0]: float(words[1]) for words in data_lines(param)}
        lines = data_lines(coeff)
        n_elements, n_coefficients = map(int, lines.pop(0))
        radii, weights, self.coefficients = {}, {}, {}
        for _ in range(n_elements):
            name, radius, weight = lines.pop(0)
            radii[name], weights[name] = float(radius), float(weight)
            numbers = [float(lines.pop(0)[0]) for _ in range(n_coefficients)]
            self.coefficients[name] = np.array(numbers)
        assert not lines
        self.quadratic = bool(keys.get("quadraticflag", 0))
        self.descriptor = tm.Bispectrum(
            list(radii),
            tm.Bispectrum.lammps_cutoffs(keys["rcutfac"], radii),
            int(keys["twojmax"]),
            rfac0=keys.get("rfac0", 0.99363),
            rmin0=keys.get("rmin0", 0.0),
            weights=weights,
            **{name: bool(keys.get(key, default)) for key, (name, default) in FLAGS.items()},
        )

    def energies(self, configuration):
        """Return the energy of each atom, and its gradient with respect to the values."""
        D = self.descriptor.compute(configuration)
        names = [configuration.species_names[k] for k in configuration.species]
        energies, gradients = np.empty(len(D)), np.empty(D.shape)
        for row, (B, i) in enumerate(zip(D, configuration.centers, strict=True)):
            c = self.coefficients[names[i]]
            n = len(B)
            energies[row] = c[0] + c[1 : n + 1] @ B
            gradients[row] = c[1 : n + 1]
            if self.quadratic:
                matrix = np.zeros((n, n))
                matrix[np.triu_indices(n)] = c[n + 1 :]
                matrix = (matrix + matrix.T) / 2  # the diagonal counts half
                energies[row] += B @ matrix @ B - np.diag(matrix) @ B**2 / 2
                gradients[row] += 2 * matrix @ B - np.diag(matrix) * B
        return energies, gradients
