/* The gradient of triplets, added up for each neighbor as four numbers side by side: one load and one
   store instead of four. See angular.pyx. */

#ifndef TORCHML_CORE_QUADS_H
#define TORCHML_CORE_QUADS_H

#include <stddef.h>
#include <stdint.h>
#if defined(__AVX__)
#include <immintrin.h>
#endif

typedef double quad_d __attribute__((vector_size(32)));
typedef float quad_f __attribute__((vector_size(16)));

/* (first, rest, rest, rest). Left to themselves, compilers make it of single numbers, with three shuffles;
   two loads that fill all four and a blend are cheaper. */
#if defined(__AVX__)
#define QUAD_HOLD(x) __asm__("" : "+x"(x))
static inline quad_d quad_of_d(const double *first, const double *rest)
{
    __m256d a = _mm256_broadcast_sd(first), b = _mm256_broadcast_sd(rest);
    return (quad_d)_mm256_blend_pd(b, a, 1);
}
static inline quad_f quad_of_f(const float *first, const float *rest)
{
    __m128 a = _mm_broadcast_ss(first), b = _mm_broadcast_ss(rest);
    QUAD_HOLD(a);
    return (quad_f)_mm_blend_ps(b, a, 1);
}
#else
static inline quad_d quad_of_d(const double *first, const double *rest)
{
    return (quad_d){*first, *rest, *rest, *rest};
}
static inline quad_f quad_of_f(const float *first, const float *rest)
{
    return (quad_f){*first, *rest, *rest, *rest};
}
#endif

/* n triplets (an even number) of neighbors j and k. places: (1, x, y, z) of each neighbor; to sums are
   added, for j, α (1, 0, 0, 0) + γ (0, r_k), for k, β (1, 0, 0, 0) + γ (0, r_j). Consecutive triplets often
   have the same j, and to store its sum and load it again at once takes long. So two triplets are added at
   a time, to four arrays of sums, ``size`` numbers apart: none of the four waits for another. */
#define ADD_QUADS(name, number, quad, quad_of) \
    static inline void name(number *sums, ptrdiff_t size, const number *places, const int32_t *j, \
                            const int32_t *k, const number *alpha, const number *beta, \
                            const number *gamma, ptrdiff_t n) \
    { \
        const quad *place = (const quad *)places; \
        quad *of_j = (quad *)sums, *of_k = (quad *)(sums + size); \
        quad *next_j = (quad *)(sums + 2 * size), *next_k = (quad *)(sums + 3 * size); \
        for (ptrdiff_t i = 0; i < n; i += 2) { \
            ptrdiff_t j0 = j[i], k0 = k[i], j1 = j[i + 1], k1 = k[i + 1]; \
            quad a = of_j[j0] + quad_of(alpha + i, gamma + i) * place[k0]; \
            quad b = of_k[k0] + quad_of(beta + i, gamma + i) * place[j0]; \
            quad c = next_j[j1] + quad_of(alpha + i + 1, gamma + i + 1) * place[k1]; \
            quad d = next_k[k1] + quad_of(beta + i + 1, gamma + i + 1) * place[j1]; \
            of_j[j0] = a; \
            of_k[k0] = b; \
            next_j[j1] = c; \
            next_k[k1] = d; \
        } \
    }
ADD_QUADS(add_quads_d, double, quad_d, quad_of_d)
ADD_QUADS(add_quads_f, float, quad_f, quad_of_f)

#endif
