"""Imported before any other part of the package: are its compiled modules there, do they run here?

A source folder hides an installed package from a Python that is started in it, and instructions
that the processor does not have end the process without a word.
"""

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from torchml_core._levels import choose_level, use_level

PACKAGE = Path(__file__).parent


def why_not_importable(folder, error):
    """Return what to do about compiled modules that cannot be imported."""
    ends = {Path(f"x{suffix}").suffix for suffix in EXTENSION_SUFFIXES}
    found = sorted(path.name for path in folder.glob("_processor.*") if path.suffix in ends)
    if not found:
        return (
            f"torchml_core is imported from its source folder {folder.parent}, where nothing is"
            " compiled and which hides an installed torchml_core: start Python in another folder,"
            " or compile it here by `pip install -e .` or `make setup`"
        )
    if not {f"_processor{suffix}" for suffix in EXTENSION_SUFFIXES} & set(found):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return (
            f"torchml_core in {folder} is compiled for another Python ({', '.join(found)}); this is"
            f" Python {version} ({sys.executable}): install it with this one"
        )
    return f"the compiled modules of torchml_core in {folder} cannot be loaded: {error}"


try:
    from torchml_core import _processor
except ImportError as error:
    raise ImportError(why_not_importable(PACKAGE, error)) from None
if Path(_processor.__file__).parent != PACKAGE:  # that of an editable install of another folder
    raise ImportError(why_not_importable(PACKAGE, None))
LEVEL = choose_level(_processor.builds, _processor.features(), PACKAGE)
if len(_processor.builds) > 1:
    use_level(LEVEL, PACKAGE)
