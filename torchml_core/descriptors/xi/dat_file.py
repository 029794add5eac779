"""The ``.dat`` file of Xi, as libdescriptor has it.

A line for each of: q, the cutoff, the radial basis (``bessel``), the number of species; and the
names of the species.
"""

from torchml_core.checks import shown
from torchml_core.descriptors.data_lines import check_names
from torchml_core.errors import UnsupportedError


def read_xi(cls, lines):
    """Return the descriptor of class ``cls``, Xi, in a file's DataLines."""
    q = lines.whole("q", 0)
    lines.checked(cls, q, 1.0)
    (cutoff,) = lines.numbers("the cutoff", 1)
    lines.checked(cls, q, cutoff)
    basis = lines.words("the radial basis, bessel,")[0]
    if basis.lower() != "bessel":
        raise lines.error(f"radial_basis = {shown(basis)}: bessel is needed")
    n_species = lines.whole("the number of species")
    species = lines.words("the names of the species")
    if len(species) != n_species:
        raise lines.error(
            f"{n_species} names of species are needed, found {shown(' '.join(species))}"
        )
    descriptor = lines.checked(lambda: cls(q, cutoff, species=species))
    if lines.peek() is not None:
        raise lines.error(f"nothing more is needed, found {shown(' '.join(lines.words('')))}")
    return descriptor


def xi_lines(descriptor):
    """Return the lines of a Xi, or raise UnsupportedError."""
    if not descriptor.species:
        raise UnsupportedError("species = None: the .dat format needs the names of species")
    check_names(descriptor.species)
    lines = ["# q", str(descriptor.q), "", "# cutoff", repr(descriptor.cutoff)]
    lines += ["", "# radial_basis", "bessel", "", "# species", str(len(descriptor.species))]
    return [*lines, " ".join(descriptor.species)]
