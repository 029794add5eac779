"""Compile the example: ``python setup.py build_ext --inplace``."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import torchml_core

setup(
    name="gaussians",
    packages=["gaussians"],
    ext_modules=cythonize(
        [
            Extension(
                "gaussians.kernel",
                ["gaussians/kernel.pyx"],
                **torchml_core.extension_arguments(),
            )
        ],
        compiler_directives={"language_level": 3, "cdivision": True},
    ),
)
