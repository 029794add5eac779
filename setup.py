"""The compiled extensions and their flags; everything else is in pyproject.toml.

Environment variables, read at build time:

TORCHML_CORE_MARCH   processor to compile for (gcc's -march); default ``native``, the machine
                     that builds. ``none`` passes no -march, so the compiler uses its own baseline.
                     Several, separated by spaces, are all compiled, and ``import torchml_core``
                     takes the last one that the processor can run (see torchml_core/_levels.py).
                     ``portable``, for wheels, is ``x86-64-v2 x86-64-v3 x86-64-v4`` on x86-64,
                     ``none`` elsewhere.
TORCHML_CORE_BUILD   ``debug`` enables bounds checks and None checks in all kernels, with
                     -O1 -g instead of -O3. Slow; for finding bugs, and for CI.
"""

import copy
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BUILD = os.environ.get("TORCHML_CORE_BUILD") or "release"
if BUILD not in ("release", "debug"):
    sys.exit(f"TORCHML_CORE_BUILD = {BUILD!r}: 'debug' or nothing is needed")
DEBUG = BUILD == "debug"

MARCH = os.environ.get("TORCHML_CORE_MARCH", "").replace(",", " ") or "native"
if MARCH == "portable":
    x86 = sysconfig.get_platform().endswith(("x86_64", "amd64"))
    MARCH = "x86-64-v2 x86-64-v3 x86-64-v4" if x86 else "none"
LEVELS = MARCH.split()

# The only module that runs on any processor of the architecture: it says what the processor has.
PROCESSOR = "torchml_core._processor"
OLDEST = {"__x86_64__": "x86-64", "__aarch64__": "armv8-a"}
SETTINGS = Path("build/settings.txt")  # of the last build; a change recompiles everything

COMPILER_NEEDED = """
torchml_core cannot be compiled: {fault}.
A C compiler and Python's header files are needed, and nothing else:
    Debian, Ubuntu:  apt install gcc libc6-dev python3-dev
    Fedora, RHEL:    dnf install gcc python3-devel
    conda:           conda install -c conda-forge c-compiler
    macOS:           xcode-select --install
A wheel of torchml_core needs no compiler: pip install --only-binary torchml_core torchml_core
"""


class BuildExt(build_ext):
    """build_ext with the flags above."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def build_extensions(self):
        if self.compiler.compiler_type == "unix":
            self.check_compiler()
            self.set_flags()
        # the same C file is compiled for each level: its object files need folders of their own
        everything, temporary = self.extensions, self.build_temp
        for level in dict.fromkeys(extension.level for extension in everything):
            self.extensions = [e for e in everything if e.level == level]
            self.build_temp = os.path.join(temporary, level)
            super().build_extensions()
        self.extensions, self.build_temp = everything, temporary

    def copy_extensions_to_source(self):
        for extension in self.extensions:  # folders of levels are not in the source
            Path(*extension.name.split(".")[:-1]).mkdir(parents=True, exist_ok=True)
        super().copy_extensions_to_source()

    def check_compiler(self):
        """Say what to install if there is no compiler, or it does not find Python's headers."""
        compiler = self.compiler.compiler_so
        if shutil.which(compiler[0]) is None:
            sys.exit(COMPILER_NEEDED.format(fault=f"there is no {compiler[0]}"))
        headers = [f"-I{folder}" for folder in self.include_dirs]
        try:
            self.preprocess(["-include", "Python.h", "-include", "math.h", *headers])
        except subprocess.CalledProcessError as error:
            sys.exit(COMPILER_NEEDED.format(fault=error.stderr.strip()))

    def set_flags(self):
        oldest, macros = self.processors()
        builds = ";".join(f"{level}={' '.join(sorted(macros[level]))}" for level in LEVELS)
        self.remember([*(" ".join(compile_flags(level)) for level in LEVELS), builds])
        for extension in self.extensions:
            extension.extra_link_args.append("-pthread")  # a library before glibc 2.34
            if extension.name == PROCESSOR:
                extension.extra_compile_args += oldest
                extension.define_macros.append(("BUILDS", f'"{builds}"'))
            else:
                extension.extra_compile_args += compile_flags(extension.level)

    def processors(self):
        """Return flags for the oldest processor, and the macros that each level adds to those."""
        try:
            kind = next((kind for kind in OLDEST if kind in self.macros([])), None)
            oldest = [] if kind is None else [f"-march={OLDEST[kind]}"]
            least = self.macros(oldest)
        except subprocess.CalledProcessError as error:
            print(f"{error.stderr}\nthe processor will not be checked at import", file=sys.stderr)
            return [], {level: set() for level in LEVELS}
        try:
            return oldest, {level: self.macros(compile_flags(level)) - least for level in LEVELS}
        except subprocess.CalledProcessError as error:
            sys.exit(
                f"TORCHML_CORE_MARCH = {MARCH!r}: processors that {self.compiler.compiler_so[0]}"
                f" can compile for are needed\n{error.stderr}"
            )

    def macros(self, flags):
        """Return the names of the macros that the compiler predefines with these flags."""
        return {line.split()[1] for line in self.preprocess([*flags, "-dM"]).splitlines()}

    def preprocess(self, flags):
        command = [*self.compiler.compiler_so, *flags, "-E", "-x", "c", os.devnull]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def remember(self, settings):
        """Write the settings of this build to a file on which all extensions depend.

        If the settings have changed, all extensions are compiled again.
        """
        text = "\n".join(settings) + "\n"
        if not SETTINGS.exists() or SETTINGS.read_text() != text:
            SETTINGS.parent.mkdir(exist_ok=True)
            SETTINGS.write_text(text)
        for extension in self.extensions:
            extension.depends.append(str(SETTINGS))


def compile_flags(level):
    # also in a debug build: for another processor, other branches of the kernels would be compiled
    march = [] if level == "none" else [f"-march={level}"]
    return [*(["-O1", "-g"] if DEBUG else ["-O3"]), "-fno-math-errno", *march]


def extensions():
    return [
        Extension(
            ".".join(path.with_suffix("").parts),
            [str(path)],
            include_dirs=[
                numpy.get_include(),
                "torchml_core",
                "torchml_core/cells",
                "torchml_core/simd",
                str(path.parent),
            ],
            depends=[str(header) for header in Path("torchml_core").rglob("*.h")],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
            # both ends of a pair must round alike, see cells/distances.pxd
            extra_compile_args=["-ffp-contract=off"] if "cells" in path.parts else [],
        )
        for path in sorted(Path("torchml_core").rglob("*.pyx"))
    ]


def for_each_level(modules):
    """Return the extensions to build: if there are several levels, each module once per level.

    The modules of a level are in a folder of its own, where _levels.py finds them; they are
    compiled from the same C files and keep their names.
    """
    built = []
    for module in modules:
        if len(LEVELS) == 1 or module.name == PROCESSOR:
            module.level = LEVELS[0]
            built.append(module)
            continue
        for level in LEVELS:
            extension = copy.deepcopy(module)
            extension.level = level
            folder = "".join(c if c.isalnum() else "_" for c in level)
            name = module.name.removeprefix("torchml_core.")
            extension.name = f"torchml_core._compiled_for.{folder}.{name}"
            built.append(extension)
    return built


setup(
    ext_modules=for_each_level(
        cythonize(
            extensions(),
            build_dir="build/cython-debug" if DEBUG else "build/cython",
            compiler_directives={
                "language_level": 3,
                "boundscheck": DEBUG,
                "wraparound": False,
                "initializedcheck": DEBUG,
                "nonecheck": DEBUG,
                "cdivision": True,
                "embedsignature": False,
            },
        )
    ),
    cmdclass={"build_ext": BuildExt},
)
