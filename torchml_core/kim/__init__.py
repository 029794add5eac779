"""The KIM-API model driver: portable models in LAMMPS and in every other simulator that knows KIM.

A driver is a shared library that the KIM-API loads into the simulator. Ours holds little: it starts
Python, if the simulator has not, and hands what KIM asks to ``_kim``, which is a part of this
package like any other. The two speak through ``bridge.h`` alone, so that the package is built
without the KIM-API, and the library, which is made from ``driver_library/`` by ``install.py``,
without linking to Python.
"""
