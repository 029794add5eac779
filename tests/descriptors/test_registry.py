"""The kinds of descriptors are listed once, and others can be added."""

import pytest

import torchml_core as tm
from torchml_core.cli.findings import Findings
from torchml_core.cli.inspect_file import look_into_descriptor
from torchml_core.descriptors import registry
from torchml_core.descriptors.base import Descriptor
from torchml_core.portable.parameters import ModelParameters


class Counter(Descriptor):
    """A descriptor from outside: it only has a file."""

    width, labels = 1, ["n"]

    def __init__(self, species, cutoff):
        self.species, self.cutoff = tuple(species), cutoff

    @classmethod
    def _from_lines(cls, lines):
        (cutoff,) = lines.numbers("the cutoff", 1)
        return cls(lines.words("species"), cutoff)

    def _settings(self):
        return self.species, self.cutoff


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def test_every_kind_has_its_class_and_the_package_its_name():
    for kind in registry.MODULES:
        assert registry.descriptor_class(kind.upper()) is getattr(tm, kind)
        assert issubclass(getattr(tm, kind), Descriptor)
        assert kind in tm.__all__


def test_one_from_outside_is_known_everywhere(tmp_path):
    path = tmp_path / "counter.dat"
    path.write_text("3.5  # cutoff\nSi C\n")
    with pytest.raises(tm.InputError, match="kind = 'Counter': one of"):
        tm.read_descriptor(path, "Counter")
    assert tm.register_descriptor(Counter) is Counter
    assert tm.read_descriptor(path, "counter") == Counter(["Si", "C"], 3.5)
    findings = Findings()
    assert isinstance(look_into_descriptor(findings, path), Counter)
    parameters = ModelParameters(["Si"], "descriptor", 3.5, "model.pt", descriptor="Counter")
    assert parameters.descriptor == "Counter"


def test_names_are_taken_once():
    tm.register_descriptor(Counter)
    tm.register_descriptor(type("Counter", (Counter,), {"__module__": Counter.__module__}))
    for name in ("Counter", "counter", "soap", "Xi"):
        with pytest.raises(tm.InputError, match="cls = .*another name is needed"):
            tm.register_descriptor(type(name, (Counter,), {"__module__": "elsewhere"}))
