/* Checks of numbers that are nearly always right: without branches, so that they cost little. */

#ifndef TORCHML_CORE_PLAIN_H
#define TORCHML_CORE_PLAIN_H

#include <stdint.h>
#include <string.h>

#define EXPONENT UINT64_C(0x7FF0000000000000) /* all ones: infinite, or not a number */

static inline int all_finite(const double *x, int64_t n) {
    uint64_t wrong = 0, bits;
    for (int64_t k = 0; k < n; ++k) {
        memcpy(&bits, x + k, sizeof bits);
        wrong |= (bits & EXPONENT) == EXPONENT;
    }
    return !wrong;
}

/* Also that none is negative. */
static inline int all_up_to(const int64_t *x, int64_t n, uint64_t most) {
    uint64_t wrong = 0;
    for (int64_t k = 0; k < n; ++k)
        wrong |= (uint64_t)x[k] > most;
    return !wrong;
}

#endif
