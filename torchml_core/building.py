"""What a kernel that is compiled outside this package needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchml_core._compiled import LEVEL


def extension_arguments() -> dict[str, Any]:
    """Return arguments of ``setuptools.Extension`` for a kernel outside this package.

    Returns
    -------
    dict
        ``include_dirs``: the folder of the header that kernels include; ``extra_compile_args``:
        flags for the processor that the modules in use were compiled for, whose vectors both must
        share (of an installed wheel: those that were chosen for this machine).

    Examples
    --------
    >>> import torchml_core
    >>> from setuptools import Extension
    >>> Extension("mine.kernel", ["mine/kernel.pyx"], **torchml_core.extension_arguments()).name
    'mine.kernel'
    """
    return {
        "include_dirs": [str(Path(__file__).parent / "simd")],
        "extra_compile_args": [
            "-O3",
            "-fno-math-errno",
            *([] if LEVEL == "none" else [f"-march={LEVEL}"]),
        ],
    }
