"""A small crystal of all species of a model, to try the model on."""


def trial_crystal(species, cutoff):
    """A small cubic crystal of all species, off its ideal sites, with neighbors in the cutoff."""
    from ase.build import bulk
    from ase.data import atomic_numbers, covalent_radii

    largest = max(covalent_radii[atomic_numbers[symbol]] for symbol in species)
    nearest = min(2.2 * largest, 0.8 * cutoff)
    repeat = -(-len(species) // 8)  # 8 sites per cell: every species fits
    crystal = bulk("Si", "diamond", a=nearest * 4 / 3**0.5, cubic=True) * (repeat, 1, 1)
    crystal.set_chemical_symbols([species[k % len(species)] for k in range(len(crystal))])
    crystal.rattle(0.03 * nearest, seed=1)
    return crystal
