"""What quick tests leave out: most combinations of parameters, most of hypothesis' examples.

``make test-quick`` runs what is not marked slow, with hypothesis' profile ``quick``; ``make test``
runs everything. Of a test with several independent parameters, quick tests run as few combinations
as have every value of each parameter once (the first of 18 descriptors with the first of 14 checks,
the second with the second, ...); the other combinations are marked slow here.
"""

from collections import defaultdict

import pytest
from hypothesis import settings

settings.register_profile("quick", parent=settings.default, max_examples=20)


def examples(n, **others):
    """Settings of hypothesis for n examples, in quick tests a fifth of them."""
    n = max(1, n * settings.default.max_examples // 100)
    return settings(max_examples=n, deadline=None, **others)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items):
    tests = defaultdict(dict)
    for item in items:
        if hasattr(item, "callspec") and item.get_closest_marker("slow") is None:
            tests[item.nodeid.partition("[")[0]][item] = _values(item)
    for values in tests.values():
        chosen = _covering(values)
        for item in values:
            if item not in chosen:
                item.add_marker(pytest.mark.slow)


def _values(item):
    """What a test is given: {(names of parameters that vary together, identity of values)}."""
    together = [mark.args[0] for mark in item.iter_markers("parametrize")]
    together = [
        tuple(names.replace(" ", "").split(",")) if isinstance(names, str) else tuple(names)
        for names in together
    ]
    fixtures = set(item.callspec.params).difference(*together)
    together += [(name,) for name in sorted(fixtures)]
    return {(names, *(id(item.callspec.params[name]) for name in names)) for names in together}


def _covering(values):
    """Some keys of {key: set} whose sets have everything that is in any set: the greedy choice."""
    missing = set().union(*values.values())
    chosen = set()
    while missing:
        best = max(values, key=lambda key: len(values[key] & missing))
        chosen.add(best)
        missing -= values[best]
    return chosen
