"""Configuration: particles, ghosts and neighbor lists, whoever made them."""

import numpy as np

from torchml_core.errors import InputError


class Configuration:
    """What a model is evaluated on: particles, some of them ghosts, and neighbor lists.

    The KIM-API's word and meaning. *Contributing* particles are the real atoms, whose energy
    counts; the others are *ghosts*, periodic images or atoms of another rank. They may stand in
    any order. Use :meth:`from_atoms` for a structure; call the constructor from a driver that
    has particles and lists already.

    Parameters
    ----------
    positions : (n_particles, 3) float64
        In Å (or the model's unit of length).
    species : (n_particles,) int32
        Species codes, each an index into ``species_names``; never atomic numbers.
    contributing : (n_particles,) bool
        True for particles whose energy counts.
    centers : (n_centers,) int32
        The contributing particles, each once, in any order: row k of the lists is that of
        particle ``centers[k]``.
    offsets : (n_centers + 1,) int64
        Row k is ``neighbors[offsets[k]:offsets[k + 1]]``.
    neighbors : (n_pairs,) int32
        Full lists of particle indices, ghosts included; a particle never in its own row. They
        may hold more than a model needs (a skin): entries beyond its cutoff never count.
    parents : (n_particles,) int32, optional
        The particle that each one is an image of; itself where contributing. Needed by
        :meth:`fold`.
    shifts : (n_particles, 3) int32, optional
        ``positions = positions[parents] + shifts @ cell``; zero where contributing.
    species_names : sequence of str, optional
        What the codes mean. With it, descriptors and models match species by name.
    cell : (3, 3) float64, optional
        Cell vectors in rows. Needed for stress.
    pbc : (3,) bool, optional
        Which cell vectors are periodic.
    cutoff : float, optional
        The lists hold every pair up to this distance; a descriptor or model that needs more
        is refused. None: taken on trust.

    Raises
    ------
    InputError
        If a shape, an index or a value cannot be right; the message says which.

    Notes
    -----
    Arrays of the right dtype are kept, not copied: change them only together with the lists.
    """


del np, InputError
