"""Small potentials of n2p2, written by the tests, and the energies that they mean, term by term."""

from itertools import pairwise

import numpy as np

ELEMENTS = {"H": 1, "O": 8}  # by atomic number
FUNCTIONS = [
    "O 2 H 0.15 0.9 6.0",
    "O 2 O 0.03 0.0 6.0",
    "O 3 H H 0.07 1.0 1.0 6.0",
    "H 2 O 0.1 0.0 6.0",
    "H 9 O H 0.02 -1 2.0 5.0",
]
N_FUNCTIONS = {"H": 2, "O": 3}
NETWORK = """\
global_hidden_layers_short 2
global_nodes_short 4 3
global_activation_short t p l
"""
HEAD = "number_of_elements 2\nelements O H\ncutoff_type 2\nscale_symmetry_functions\n"


class Potential:
    """The files of a potential in a folder; change them, then write.

    Attributes
    ----------
    settings : str
        What is in input.nn.
    nodes : dict of str to list of int
        Of the hidden layers.
    statistics : dict of str to (n, 4) array
        min, max, mean, sigma.
    weights : dict of str to (n,) array
    letters : dict of str to str
        Activation functions that ``energies`` uses.
    """

    def __init__(
        self, head=HEAD, network=NETWORK, functions=FUNCTIONS, nodes=None, letters=None, seed=0
    ):
        lines = "".join(f"symfunction_short {line}\n" for line in functions)
        self.settings = head + network + lines
        self.nodes = {"H": [4, 3], "O": [4, 3]} | (nodes or {})
        self.letters = {"H": "tpl", "O": "tpl"} | (letters or {})
        rng = np.random.default_rng(seed)
        self.statistics = {
            e: np.column_stack(
                [
                    low := rng.uniform(0, 0.1, n),
                    high := low + rng.uniform(0.5, 1, n),
                    low + rng.uniform(0.2, 0.8, n) * (high - low),
                    rng.uniform(0.1, 0.2, n),
                ]
            )
            for e, n in N_FUNCTIONS.items()
        }
        self.weights = {e: rng.normal(size=self.n_weights(e)) for e in ELEMENTS}

    def n_weights(self, element):
        nodes = [N_FUNCTIONS[element], *self.nodes[element], 1]
        return sum((n + 1) * m for n, m in pairwise(nodes))

    def write(self, folder, columns=4):
        """Write the files; ``columns`` of the statistics."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "input.nn").write_text(self.settings)
        rows = [
            f"{k} {j} " + " ".join(f"{x!r}" for x in row[:columns].tolist())
            for k, (_, own) in enumerate(sorted(self.statistics.items()), 1)
            for j, row in enumerate(own, 1)
        ]
        (folder / "scaling.data").write_text("# a comment\n" + "\n".join(rows) + "\n")
        for element, values in self.weights.items():
            lines = [f"{x!r} a 1 0 1 1 1" for x in values.tolist()]
            path = folder / f"weights.{ELEMENTS[element]:03d}.data"
            path.write_text("# a comment\n" + "\n".join(lines) + "\n")
        return folder

    def energies(self, values, elements, *, scale, divide=False, energy=lambda output, _: output):
        """Energies of atoms from values of functions (n, width) and elements, by hand.

        ``scale(G, min, max, mean, sigma)`` and ``energy(output, element)`` are formulas; ``divide``
        is normalize_nodes.
        """
        found = []
        for row, element in zip(values, elements, strict=True):
            x = scale(row[: N_FUNCTIONS[element]], *self.statistics[element].T)
            numbers = iter(self.weights[element].tolist())
            for m, letter in zip([*self.nodes[element], 1], self.letters[element], strict=True):
                products = [[next(numbers) * a for _ in range(m)] for a in x]
                y = np.array([sum(column) for column in zip(*products, strict=True)])
                y = y + [next(numbers) for _ in range(m)]
                x = FORMULAS[letter](y / len(x) if divide else y)
            assert next(numbers, None) is None
            found.append(energy(x[0], element))
        return found


FORMULAS = {
    "l": lambda x: x,
    "t": np.tanh,
    "s": lambda x: 1 / (1 + np.exp(-x)),
    "p": lambda x: np.log(1 + np.exp(x)),
    "r": lambda x: np.where(x > 0, x, 0),
    "g": lambda x: np.exp(-0.5 * x**2),
    "c": np.cos,
    "S": lambda x: 1 - 1 / (1 + np.exp(-x)),
    "e": lambda x: np.exp(-x),
    "h": lambda x: x**2,
}
