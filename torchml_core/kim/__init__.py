"""The KIM-API model driver: portable models in LAMMPS and all other simulators that support KIM.

A driver is a shared library that the KIM-API loads into the simulator. Ours is small: it starts
Python, if the simulator has not, and passes KIM's requests to ``_kim``, an ordinary module of this
package. Their only interface is ``bridge.h``. So the package is built without the KIM-API, and the
library, which ``install.py`` builds from ``driver_library/``, is built without linking to Python.
"""
