"""What is installed, and which build of the kernels is used: for reports of faults."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys

from torchml_core import __version__, _compiled, _processor
from torchml_core.threads import n_processors

PACKAGES = (
    *("numpy", "scipy", "torch", "ase", "mpmath", "pydantic", "PyYAML", "h5py"),
    *("click", "rich", "matplotlib", "dask"),
)


def versions() -> dict[str, str]:
    """Return what :func:`show_versions` prints; packages that are not installed are left out."""
    level, *others = [
        _compiled.LEVEL,
        *(name for name in _processor.builds if name != _compiled.LEVEL),
    ]
    found = {
        "torchml_core": f"{__version__} ({_compiled.PACKAGE})",
        "kernels for": level + (f" (also built: {', '.join(others)})" if others else ""),
        "Python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.platform()}, {n_processors()} processors",
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for variable in sorted(os.environ):
        if variable.startswith("TORCHML_CORE_") or variable == "OMP_NUM_THREADS":
            found[variable] = os.environ[variable]
    return found


def show_versions() -> None:
    """Print the versions of torchml_core and of what it uses, and which kernels are used.

    Examples
    --------
    >>> import torchml_core
    >>> torchml_core.show_versions()  # doctest: +SKIP
    torchml_core  0.1.0 (/home/me/env/lib/python3.12/site-packages/torchml_core)
    kernels for   x86-64-v4 (also built: x86-64-v2, x86-64-v3)
    ...
    """
    found = versions()
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:{width}}  {value}")
