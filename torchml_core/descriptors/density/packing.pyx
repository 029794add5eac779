"""The parameters of density expansions and power spectra, packed for the kernels."""

import numpy as np

from torchml_core._descriptors cimport Kernel
from torchml_core.descriptors.density.kernel cimport soap, spherical_expansion
from torchml_core.descriptors.density.kernel.expansion cimport ExpansionPlan, padded_n, repeat_of
from torchml_core.descriptors.density.kernel.soap cimport SoapPlan
from torchml_core.simd.vectors cimport MOST_LANES, SIMD_BYTES, lanes_of, vdouble, vfloat

SMOOTHINGS = {"cosine": "cos", None: None}  # cutoff functions


cdef class DensityKernel(Kernel):
    """What all kernels of density coefficients share."""

    cdef pack(self, ExpansionPlan *plan, settings):
        """See ExpansionKernel."""
        cdef const vdouble *type_tag = NULL
        cdef const vfloat *single_tag = NULL
        table, weights = settings["table"], settings["species_weights"]
        n_species, rc = settings["n_species"], settings["cutoff"]
        plan.n_max = table.nodes.shape[3]
        plan.l_max = table.nodes.shape[2] - 1
        plan.n_lm = (plan.l_max + 1) ** 2
        plan.n_species = plan.n_channels = n_species
        plan.classes = self.ints(np.arange(n_species))
        if weights is not None:
            plan.n_channels = weights.shape[1]
            plan.species_weights = self.doubles(weights)
        norms = np.concatenate([np.ravel(row) for row in settings["norms"]])
        plan.norms = self.doubles(norms)
        plan.norms_of_densities = self.doubles(
            norms_of_densities(norms, n_species * padded_n(plan, type_tag))
        )
        plan.norms_of_densities_single = self.floats(
            norms_of_densities(norms, n_species * padded_n(plan, single_tag))
        )
        plan.cutoff = rc
        self.pair_cutoff(
            &plan.pair_cutoff, SMOOTHINGS[settings["smoothing"]],
            1 - settings["smoothing_width"] / rc, equal_cutoffs(settings), np.ones(n_species),
        )
        n_of_l = settings.get("n_of_l", [plan.n_max] * (plan.l_max + 1))
        plan.table.n_of_l = self.ints(n_of_l)
        plan.table.n_l = plan.l_max + 1
        plan.table.n_intervals = table.n_intervals
        plan.table.softening = table.softening
        plan.table.per_interval = table.per_interval
        rows, first = rows_of(table.nodes, n_of_l, lanes_of(type_tag), repeat_of(plan, type_tag))
        plan.table.nodes, plan.table.first = self.doubles(rows), self.ints(first)
        rows, first = rows_of(
            table.nodes, n_of_l, lanes_of(single_tag), repeat_of(plan, single_tag)
        )
        plan.table.nodes_single, plan.table.first_single = self.floats(rows), self.ints(first)


def equal_cutoffs(settings):
    """(n_species, n_species): one for all."""
    return np.full((settings["n_species"], settings["n_species"]), settings["cutoff"])


def norms_of_densities(norms, n):
    """Each n times, and zeros for the rest of the last vector."""
    return np.pad(np.repeat(norms, n), (0, MOST_LANES))


def rows_of(nodes, n_of_l, lanes, repeat):
    """Return rows and where each l begins in them, see RadialTable of radial_table.pxd."""
    part = lanes // repeat
    sizes = np.array([-(-n // part) * part for n in n_of_l])
    if repeat == 1 and sizes.sum() > 1.5 * sum(n_of_l):  # too much of a row would be zeros
        sizes = np.array(n_of_l)
    first = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.zeros((len(nodes), 3, -(-int(sizes.sum()) // lanes) * lanes))
    for l, n in enumerate(n_of_l):
        rows[:, :, first[l] : first[l] + n] = nodes[:, :, l, :n]
    return np.pad(rows.ravel(), (0, nodes.shape[3] + lanes)), first


cdef class ExpansionKernel(DensityKernel):
    """Coefficients c_qnlm.

    Parameters
    ----------
    settings : dict
        table: RadialTable. n_species: int. cutoff: float. smoothing: a key of SMOOTHINGS.
        smoothing_width: float. norms: for each l a (2 l + 1,) array, by which solid harmonics of
        r/rc times the table's functions are multiplied. species_weights: (n_species, n_channels)
        float64, or None. n_of_l, optional: (l_max + 1,) how many of the n_max functions are wanted;
        default all, which the values of this kernel and of SoapKernel need.
    """

    cdef ExpansionPlan plan

    def __init__(self, settings):
        self.pack(&self.plan, settings)
        width = self.plan.n_channels * self.plan.n_max * self.plan.n_lm
        spherical_expansion.fill_verbs(&self.info.single, <const vfloat *> NULL)
        spherical_expansion.fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, width, equal_cutoffs(settings), SIMD_BYTES)


cdef class SoapKernel(DensityKernel):
    """Power spectra.

    Parameters
    ----------
    settings : dict
        As for ExpansionKernel.
    width : int
    places : (n_channels * n_max, n_channels * n_max) int array
        See PowerSpectrumPlan.
    unit_norm : bool
    """

    cdef SoapPlan plan

    def __init__(self, settings, width, places, unit_norm):
        self.pack(&self.plan.expansion, settings)
        self.plan.spectrum.n_max = self.plan.expansion.n_max
        self.plan.spectrum.l_max = self.plan.expansion.l_max
        self.plan.spectrum.n_channels = self.plan.expansion.n_channels
        self.plan.spectrum.places = self.ints(places)
        self.plan.spectrum.width = width
        self.plan.unit_norm = unit_norm
        soap.fill_verbs(&self.info.single, <const vfloat *> NULL)
        soap.fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, width, equal_cutoffs(settings), SIMD_BYTES)
