"""What the other compiled modules need of the processor, and what this one has.

Compiled for the oldest processor of its kind (see setup.py), so that it can be imported anywhere.
"""

cdef extern from "processor.h":
    const char* BUILDS
    ctypedef struct Feature:
        const char* macro
    const Feature[] FEATURES
    int N_FEATURES
    void look_up_features(int* there)

# Each processor that the other modules were compiled for, in the order of TORCHML_CORE_MARCH:
# gcc's -march, and the macros that it brought, like __AVX2__.
builds = {}
for build in BUILDS.decode().split(";"):
    march, _, macros = build.partition("=")
    builds[march] = macros.split()


def features():
    """Return which of the features that can be looked up are there: {macro: bool}."""
    cdef int[64] there
    look_up_features(there)
    return {FEATURES[k].macro.decode(): bool(there[k]) for k in range(N_FEATURES)}
