"""Imported before any other part of the package: are its compiled modules there, do they run here?

A source folder hides an installed package from a Python that is started in it, and instructions
that the processor does not have end the process without a word.
"""

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

PACKAGE = Path(__file__).parent


def check_processor(built_for, built_with, features):
    """Raise ImportError where this processor lacks instructions that were compiled in.

    Parameters
    ----------
    built_for : str
        What TORCHML_CORE_MARCH was when it was compiled.
    built_with : sequence of str
        The macros of the instructions, ``__AVX2__``.
    features : dict of bool
        Which of those that can be looked up this processor has, the oldest first.
    """
    missing = [macro for macro, there in features.items() if macro in built_with and not there]
    if not missing:
        return
    names = ", ".join(macro.strip("_").removeprefix("ARM_FEATURE_") for macro in missing[:4])
    names += f" and {len(missing) - 4} others" if len(missing) > 4 else ""
    raise ImportError(
        f"torchml_core was compiled for another processor (TORCHML_CORE_MARCH={built_for}, in"
        f" {PACKAGE}): this one lacks {names}. Install it again on this machine, or once for all"
        f" machines with `TORCHML_CORE_MARCH={_common(features)} pip install .` in its source"
        " folder"
    )


def _common(features):
    """The name of processors like this one, or older, for gcc's -march."""
    if "__AVX2__" not in features:
        return "none"
    if all(features[f"__{name}__"] for name in ("AVX2", "BMI2", "FMA", "F16C", "LZCNT", "MOVBE")):
        return "x86-64-v3"
    return "x86-64-v2" if features["__SSE4_2__"] and features["__POPCNT__"] else "x86-64"


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
check_processor(_processor.built_for, _processor.built_with, _processor.features())
