"""What the other compiled modules need of the processor, and what this one has.

Compiled for the oldest processor of its kind (see setup.py), so that it can be imported anywhere.
"""

cdef extern from "processor.h":
    const char* BUILT_FOR
    const char* BUILT_WITH
    ctypedef struct Feature:
        const char* macro
    const Feature[] FEATURES
    int N_FEATURES
    void look_up_features(int* there)

# gcc's -march, as the build was told; the macros that it brought, like __AVX2__
built_for = BUILT_FOR.decode()
built_with = BUILT_WITH.decode().split()


def features():
    """Return which of the features that can be looked up are there: {macro: bool}."""
    cdef int[64] there
    look_up_features(there)
    return {FEATURES[k].macro.decode(): bool(there[k]) for k in range(N_FEATURES)}
