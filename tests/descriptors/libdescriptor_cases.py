"""The reference cases of libdescriptor: what the manifest says, and the particles of each."""

import json

import numpy as np

import torchml_core as tm


def cases_of(shared_data, kind):
    """{name: case} of the manifest's cases of one kind of descriptor."""
    cases = json.loads((shared_data / "libdescriptor" / "manifest.json").read_text())["cases"]
    return {case["file"].removesuffix(".npz"): case for case in cases if case["kind"] == kind}


def configuration_of(case, arrays):
    """The configuration that libdescriptor was given."""
    n_atoms, n_total = case["n_atoms"], case["n_total"]
    return tm.Configuration(
        arrays["coords"],
        arrays["species"],
        np.arange(n_total) < n_atoms,
        np.arange(n_atoms),
        np.concatenate([[0], np.cumsum(arrays["numneigh"], dtype=np.int64)]),
        arrays["neighlist"],
        parents=arrays["image"],
        species_names=case["species"],
    )
