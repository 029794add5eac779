"""Why a structure cannot be searched."""

cdef enum Fault:
    FINE = 0
    NO_MEMORY = 1
    TOO_MANY_IMAGES = 2
    TOO_FAR = 3               # an atom is more than a billion cells away from the cell
    TOO_OBLIQUE = 4           # shifts of images next to the cell do not fit 32 bits
    TOO_LARGE = 5             # the rounding of positions in the cell is far more than the cutoff
    INTERRUPTED = 6           # by a signal handler that raised
