"""Speeds of torchml_core beside those of other packages: ``torchml-core bench``.

A comparison (``lists.py``, ``symmetry_functions.py``, ``soap.py``, ``bispectrum.py``) has cases,
each with programs that do the same work: ours, and those of the packages that are installed
(``peers.py``). ``running.py`` checks that they compute the same, and measures them in turns
(``turns.py``). ``result.py`` stores what was found (``table.py``) as JSON; ``report.py`` and
``pictures.py`` show it; ``changes.py`` compares two results. Nothing here is imported before the
command runs.
"""
