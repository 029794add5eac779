"""What show_versions prints."""

import platform

import numpy as np

import torchml_core as tm
from torchml_core import _compiled


def test_what_is_installed_and_used(capsys, monkeypatch):
    monkeypatch.setenv("TORCHML_CORE_DEBUG", "1")
    tm.show_versions()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["torchml_core"] == f"{tm.__version__} ({_compiled.PACKAGE})"
    assert lines["kernels"].removeprefix("for ").split()[0] == _compiled.LEVEL
    assert lines["numpy"] == np.__version__
    assert lines["Python"].startswith(f"{platform.python_version()} (")
    assert lines["TORCHML_CORE_DEBUG"] == "1"
