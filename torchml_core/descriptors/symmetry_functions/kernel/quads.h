/* The gradient of triplets, added up for each neighbor as four numbers side by side: one load and one
   store instead of four. See angular.pyx. */

#ifndef TORCHML_CORE_QUADS_H
#define TORCHML_CORE_QUADS_H

#include <stddef.h>
#include <stdint.h>

typedef double quad_d __attribute__((vector_size(32)));
typedef float quad_f __attribute__((vector_size(16)));

/* Triplets begin ... end - 1 of neighbor j. places: (1, x, y, z) of each neighbor; sums: what is added
   to, for r_j α (1, 0, 0, 0) + γ (0, r_k), for r_k β (1, 0, 0, 0) + γ (0, r_j). */
#define QUADS_OF_RUN(name, number, quad) \
    static inline void name(number *sums, const number *places, ptrdiff_t j, const int32_t *k, \
                            const number *alpha, const number *beta, const number *gamma, \
                            ptrdiff_t begin, ptrdiff_t end) \
    { \
        const quad *place = (const quad *)places, place_j = place[j]; \
        quad *sum = (quad *)sums, sum_j = {0}; \
        for (ptrdiff_t i = begin; i < end; i++) { \
            quad a = {alpha[i], alpha[i], alpha[i], alpha[i]}; /* a load fills all four */ \
            quad b = {beta[i], beta[i], beta[i], beta[i]}; \
            quad c = {gamma[i], gamma[i], gamma[i], gamma[i]}; \
            sum_j += __builtin_shufflevector(a, c, 0, 5, 6, 7) * place[k[i]]; \
            sum[k[i]] += __builtin_shufflevector(b, c, 0, 5, 6, 7) * place_j; \
        } \
        sum[j] += sum_j; \
    }
QUADS_OF_RUN(quads_of_run_d, double, quad_d)
QUADS_OF_RUN(quads_of_run_f, float, quad_f)

#endif
