"""The command as a whole: help, version, wrong usage, errors, how it ends."""

import os
import signal
import subprocess
import sys

import pytest

import torchml_core as tm

COMMAND = [sys.executable, "-c", "from torchml_core.cli import main; main()"]


def test_help_and_version(run):
    for help in (["--help"], ["-h"], ["evaluate", "-h"], ["inspect", "--help"]):
        result = run(*help)
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: ")
    assert run("--version").stdout == f"torchml-core, version {tm.__version__}\n"


def test_help_loads_nothing_slow():
    script = (
        "import sys; from torchml_core.cli import main; main(['evaluate', '-h'],"
        " standalone_mode=False); names = ('torch', 'ase', 'numpy', 'rich', 'matplotlib');"
        " print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate"],
        ["evaluate", "model"],
        ["evaluate", "model", "file", "--threads", "0"],
        ["evaluate", "model", "file", "--nonsense"],
        ["inspect"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_2(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_errors_are_one_line_and_exit_1(run, tmp_path):
    done = run("evaluate", tmp_path / "none", "file")
    assert done.exit_code == 1
    assert done.stderr == f"error: {tmp_path}/none: no such folder; a portable model is one\n"
    assert done.stdout == ""


def test_debug_shows_the_traceback(run, tmp_path, monkeypatch):
    assert isinstance(run("--debug", "inspect", tmp_path / "none").exception, tm.MissingFileError)
    monkeypatch.setenv("TORCHML_CORE_DEBUG", "1")
    assert isinstance(run("inspect", tmp_path / "none").exception, tm.MissingFileError)


def test_debug_shows_the_traceback_of_a_structure_too(run, model_folder):
    result = run("--debug", "evaluate", model_folder, "none.xyz")
    assert isinstance(result.exception, tm.MissingFileError)


def test_errors_of_the_system_are_told_in_one_line(run, model_folder, silicon_file, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", "model.pt")

    monkeypatch.setattr(tm.PortableModel, "load", refused)
    result = run("evaluate", model_folder, silicon_file)
    assert result.exit_code == 1
    assert result.stderr == "error: [Errno 13] Permission denied: 'model.pt'\n"


def test_an_interruption_is_clean_and_keeps_what_is_written(
    run, model_folder, silicon_file, tmp_path, monkeypatch
):
    calls = []
    evaluate = tm.PortableModel.evaluate

    def interrupt_second(self, *arguments, **options):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(tm.PortableModel, "evaluate", interrupt_second)
    out = tmp_path / "out.extxyz"
    result = run("evaluate", model_folder, silicon_file, "-o", out)
    assert result.exit_code == 1
    assert "Aborted!" in result.stderr
    assert "Traceback" not in result.output
    assert len(out.read_text().splitlines()) == 2 + 8


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
def test_a_reader_that_leaves_ends_it_quietly(model_folder, tmp_path):
    read, write = os.pipe()
    os.close(read)
    # Python ignores SIGPIPE, so writing fails with EPIPE
    process = subprocess.Popen(
        [*COMMAND, "inspect", str(model_folder / "model.param")],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
    )
    os.close(write)
    _, stderr = process.communicate(timeout=60)
    assert stderr == ""
    assert process.returncode == 1
