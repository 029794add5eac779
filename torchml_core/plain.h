/* Checks of numbers that nearly always pass: without branches, so that they cost little. */

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

static inline int all_equal(const double *x, const double *y, int64_t n) {
    int different = 0;
    for (int64_t k = 0; k < n; ++k)
        different |= !(x[k] == y[k]);
    return !different;
}

static inline int all_same(const void *x, const void *y, size_t n_bytes) {
    return memcmp(x, y, n_bytes) == 0;
}

/* Also that none is negative. */
static inline int all_up_to(const int64_t *x, int64_t n, uint64_t most) {
    uint64_t wrong = 0;
    for (int64_t k = 0; k < n; ++k)
        wrong |= (uint64_t)x[k] > most;
    return !wrong;
}

#endif
