"""``torchml-core convert snap`` and ``convert to-snap``."""

import pytest

import torchml_core as tm

COEFF = "# a\n1 3\nTa 0.5 1\n-1.5\n0.25\n-0.125\n"
PARAM = "rcutfac 4\ntwojmax 1\n"


@pytest.fixture
def potential(tmp_path):
    path = tmp_path / "Ta.snapcoeff"
    path.write_text(COEFF)
    path.with_suffix(".snapparam").write_text(PARAM)
    return path


def test_there_and_back(run, potential, tmp_path):
    model, stem = tmp_path / "model", tmp_path / "back"
    done = run("convert", "snap", potential, "--zbl", "2.0, 3.5", "-o", model)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(f"wrote {model}: Bispectrum(['Ta'], 4.0, 1,")
    assert done.stdout.splitlines()[1] == "with ZBL(['Ta'], inner=2.0, outer=3.5)"
    done = run("convert", "to-snap", model, stem)
    files = [f"{stem}{suffix}" for suffix in (".snapcoeff", ".snapparam", ".snap")]
    assert done.stdout.splitlines() == [f"wrote {file}" for file in files]
    done = run("convert", "snap", files[2], "-o", tmp_path / "again")
    assert done.exit_code == 0, done.stderr
    again = tm.PortableModel.load(tmp_path / "again")
    assert again.pair_terms == (tm.ZBL(["Ta"], 2.0, 3.5),)
    assert again.descriptor == tm.PortableModel.load(model).descriptor


def test_both_files(run, potential, tmp_path):
    param = potential.with_suffix(".snapparam").rename(tmp_path / "other")
    done = run("convert", "snap", potential, param, "-o", tmp_path / "model")
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--zbl", "4"], "--zbl = '4': a pair of distances in Å, INNER,OUTER, is needed"),
        (["--zbl", "4,x"], "--zbl = 'x': a finite decimal number is needed"),
        (["--zbl", "4,3"], "zbl: inner = 4.0: a distance below outer, 3, is needed"),
        (["none"], "none: there is no such file; a .snapparam file is needed"),
    ],
)
def test_faults(run, potential, tmp_path, arguments, said):
    done = run("convert", "snap", potential, *arguments, "-o", tmp_path / "model")
    assert done.exit_code == 1
    assert done.stderr == f"error: {said}\n"
    assert run("convert", "snap", potential).exit_code == 2
