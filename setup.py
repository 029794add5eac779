"""The compiled extensions and their flags; everything else is in pyproject.toml.

Environment variables, read at build time:

TORCHML_CORE_MARCH   processor to compile for (gcc's -march); default ``native``, the machine
                     that builds. ``x86-64-v3`` runs on any x86 processor with AVX2;
                     ``none`` passes no -march, so the compiler uses its own baseline.
TORCHML_CORE_BUILD   ``debug`` enables bounds checks and None checks in all kernels, with
                     -O1 -g instead of -O3. Slow; for finding bugs, and for CI.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BUILD = os.environ.get("TORCHML_CORE_BUILD") or "release"
if BUILD not in ("release", "debug"):
    sys.exit(f"TORCHML_CORE_BUILD = {BUILD!r}: 'debug' or nothing is needed")
DEBUG = BUILD == "debug"
MARCH = os.environ.get("TORCHML_CORE_MARCH") or "native"

# The only module that runs on any processor of the architecture: it checks whether the others can.
PROCESSOR = "torchml_core._processor"
OLDEST = {"__x86_64__": "x86-64", "__aarch64__": "armv8-a"}
SETTINGS = Path("build/settings.txt")  # of the last build; a change recompiles everything


class BuildExt(build_ext):
    """build_ext with the flags above."""

    def build_extensions(self):
        if self.compiler.compiler_type == "unix":
            flags = compile_flags()
            oldest, instructions = self.processors(flags)
            self.remember([*flags, *sorted(instructions)])
            for extension in self.extensions:
                extension.extra_link_args.append("-pthread")  # a library before glibc 2.34
                if extension.name == PROCESSOR:
                    extension.extra_compile_args += oldest
                    extension.define_macros += [
                        ("BUILT_FOR", f'"{MARCH}"'),
                        ("BUILT_WITH", f'"{" ".join(sorted(instructions))}"'),
                    ]
                else:
                    extension.extra_compile_args += flags
        super().build_extensions()

    def processors(self, flags):
        """Return flags for the oldest processor, and the macros that ``flags`` add to those."""
        try:
            kind = next((kind for kind in OLDEST if kind in self.macros([])), None)
            oldest = [] if kind is None else [f"-march={OLDEST[kind]}"]
            return oldest, self.macros(flags) - self.macros(oldest)
        except (OSError, subprocess.CalledProcessError) as error:
            told = getattr(error, "stderr", "")
            print(f"{error} {told}\nthe processor will not be checked at import", file=sys.stderr)
            return [], set()

    def macros(self, flags):
        """Return the names of the macros that the compiler predefines with these flags."""
        command = [*self.compiler.compiler_so, *flags, "-dM", "-E", "-x", "c", os.devnull]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {line.split()[1] for line in done.stdout.splitlines()}

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


def compile_flags():
    # also in a debug build: for another processor, other branches of the kernels would be compiled
    march = [] if MARCH == "none" else [f"-march={MARCH}"]
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


setup(
    ext_modules=cythonize(
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
    ),
    cmdclass={"build_ext": BuildExt},
)
