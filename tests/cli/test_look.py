"""``torchml-core look``."""

from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from torchml_core.cli import main


def test_findings_are_printed(tmp_path):
    atoms = bulk("Si", cubic=True)
    path = tmp_path / "twice.xyz"
    write(path, [atoms, atoms], format="extxyz")
    done = CliRunner().invoke(main, ["look", str(path)])
    assert done.exit_code == 0
    assert "2 structures, 16 atoms of Si" in done.output
    assert "duplicates: structures that occur more than once" in done.output
    assert f"{path}@0,1)" in done.output
    write(path, atoms, format="extxyz")
    assert "nothing was found" in CliRunner().invoke(main, ["look", str(path)]).output


def test_a_missing_file(tmp_path):
    done = CliRunner().invoke(main, ["look", str(tmp_path / "absent.xyz")])
    assert done.exit_code == 1
    assert "absent.xyz" in done.output
