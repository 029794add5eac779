"""The plan: species become classes, rows groups of four, and every value keeps its place."""

import numpy as np
import pytest

from torchml_core.descriptors.symmetry_functions import CompactFunction, planning
from torchml_core.descriptors.symmetry_functions.compact_planning import CompactFamily
from torchml_core.descriptors.symmetry_functions.planning import Family


@pytest.fixture
def planned(monkeypatch):
    """What make_kernel hands to the kernel, by name."""

    def planned(width, families):
        names = ("width", "cutoffs", "classes", "pair_cutoffs", "blocks", "components")
        with monkeypatch.context() as patch:
            patch.setattr(
                planning,
                "SymmetryFunctionKernel",
                lambda *arguments: dict(zip(names, arguments, strict=True)),
            )
            return planning.make_kernel(width, families)

    return planned


def family(type, rows, channels, **changed):
    n = len(channels)
    n_channels = np.max(channels) + 1
    settings = {
        "components": np.arange(n_channels * len(rows)).reshape(n_channels, -1),
        "cutoffs": np.full((n, n), 5.0),
        "cutoff_function": "cos",
        "weights": np.ones(n),
        "centers": np.ones(n, dtype=bool),
    } | changed
    return Family(type=type, rows=rows, channels=np.array(channels, dtype=np.int32), **settings)


ROWS = [(1, 1, 0.2), (4, -1, 0.1), (1, -1, 0.2), (4, -1, 0.2), (1, 1, 0.1)]


def test_terms_groups_and_components(planned):
    plan = planned(5, [family(4, ROWS, [[0]])])
    (block,) = plan["blocks"]
    assert list(zip(block["zeta"], block["lambda"], strict=True)) == [(1, -1), (4, -1), (1, 1)]
    assert block["eta"].tolist() == [0.2, 0.1]
    assert block["group"] == [0, 4, 8]
    assert block["term"] == [2, 0, 1, 1, 1, 2, 2, 2]
    assert plan["components"].tolist() == [0, 2, 3, -1, 1, 4, -1, -1]


def test_a_group_of_four_needs_no_padding(planned):
    rows = [(zeta, 1, 0.2) for zeta in (1, 2, 4, 8)]
    (block,) = planned(4, [family(4, rows, [[0]])])["blocks"]
    assert block["group"] == [0, 4]


def test_every_value_once_in_every_channel(planned):
    plan = planned(15, [family(4, ROWS, [[0, 1], [1, 2]])])
    components = plan["components"]
    assert sorted(components[components >= 0]) == list(range(15))
    assert len(components) == 3 * 8
    assert plan["blocks"][0]["channel"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changed", "classes"),
    [
        ({}, [0, 0, 0]),
        ({"cutoffs": np.array([[5, 5, 4], [5, 5, 4], [4, 4, 3.0]])}, [0, 0, 1]),
        ({"cutoffs": np.array([[5, 4, 5], [4, 5, 5], [5, 5, 5.0]])}, [0, 1, 2]),
        ({"weights": np.array([1, 2, 1.0])}, [0, 1, 0]),
        ({"centers": np.array([False, True, True])}, [0, 1, 1]),
    ],
)
def test_classes_are_species_that_nothing_tells_apart(planned, changed, classes):
    plan = planned(1, [family(2, [(0.1, 0.0)], [0, 0, 0], **changed)])
    assert plan["classes"].tolist() == classes


def test_equal_cutoffs_are_shared(planned):
    families = [
        family(2, [(0.1, 0.0)], [0]),
        family(4, ROWS, [[0]]),
        family(5, ROWS, [[0]], inner=0.1),
    ]
    plan = planned(11, families)
    assert [block["pair_cutoff"] for block in plan["blocks"]] == [0, 0, 1]
    assert [block["first"] for block in plan["blocks"]] == [0, 1, 9]


def test_reach_leaves_out_what_counts_nowhere(planned):
    """A family without a channel does not make the lists longer."""
    none = family(2, [(0.1, 0.0)], [0], cutoffs=np.array([[9.0]]))
    none = Family(**(none.__dict__ | {"channels": np.array([-1], dtype=np.int32)}))
    assert planned(2, [family(4, ROWS, [[0]]), none])["cutoffs"].tolist() == [[5.0]]


def compact_family(functions, species=("H", "C", "O")):
    return CompactFamily(
        functions=functions,
        components=list(range(len(functions))),
        species=species,
        numbers=np.ones(len(species)),
        centers=np.array([True, False, False]),
    )


def test_compact_functions_share_radial_and_angular_parts(planned):
    functions = [
        CompactFunction(type, ("C", "O"), radial, angular)
        for type, angular in (("c5", (0, 90)), ("c5", (60, 180)), ("c4", (0, 90)))
        for radial in ((-4.0, 4.0), (1.0, 3.0))
    ]
    functions.append(CompactFunction("c2", ("O",), (0.0, 3.0)))
    plan = planned(7, [compact_family(functions)])
    (block,) = plan["blocks"]
    assert [radial[:2] for radial in block["radials"]] == [(0.0, 3.0), (-4.0, 4.0), (1.0, 3.0)]
    assert block["breaks"] == [1.0, 3.0, 4.0]
    assert block["first_bin"] == [0, 0, 1]
    assert block["last_bin"] == [2, 3, 2]
    wide, narrow = block["triplets"]
    assert (wide["with_jk"], narrow["with_jk"]) == (False, True)
    assert (len(wide["angles"]), wide["radial"], wide["term"]) == (2, [1, 2], [0, 1, 0, 1])
    assert wide["group"].tolist() == [0, 2, 4]
    assert [block["row_sum"], wide["first_sum"], narrow["first_sum"]] == [[0], 1, 5]
    assert plan["components"].tolist() == [6, 0, 2, 1, 3, 4, 5]
    assert plan["cutoffs"].tolist() == [[0, 4, 4], [0, 0, 0], [0, 0, 0]]


def test_species_that_compact_functions_name_are_told_apart(planned):
    """Even if each function names both: a pair C-O counts, C-C does not."""
    both = CompactFunction("c5", ("C", "O"), (0.0, 4.0), (0, 180))
    plan = planned(1, [compact_family([both])])
    assert plan["classes"].tolist() == [0, 1, 2]
    weighted = CompactFunction("c5", None, (0.0, 4.0), (0, 180))
    assert planned(1, [compact_family([weighted])])["classes"].tolist() == [0, 1, 1]
