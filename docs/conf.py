"""Settings of the documentation site: `make docs` builds it into docs/_build/html."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for extensions of our own

project = "torchml_core"
author = "the torchml_core developers"
release = version = importlib.metadata.version("torchml_core")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # reads numpydoc sections
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_links",
    "sphinx_benchmarks",
]
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = f"torchml_core {release}"

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have the types, with shapes and units
napoleon_google_docstring = False
napoleon_use_ivar = True
