/* The innermost loop of a neighbor search: which of n points side by side are near another one.

   Writes the numbers of those points, counted from `first`, to out, which needs room for n + LANES,
   and returns how many they are. Near are points with a squared distance below `far`, all but the
   point `self`; `*doubtful` is set if one of them is not below `near`. There is no branch: LANES
   points are tested at a time, and those that passed are moved together in a register before they
   are stored, where the processor can do that; the plain loop does the same for one point.
   n_read >= n numbers are read, a multiple of LANES where the same for many calls: a loop of always
   the same length is what the processor guesses right. */

#include <stdint.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX2__) && defined(__BMI2__)
#include <immintrin.h>
#define LANES 8

/* For a set of 8 lanes the order that brings its members to the front. */
static inline __m256i front_order(unsigned members) {
    uint64_t bytes = _pdep_u64(members, 0x0101010101010101ULL) * 0xFF; /* ones for a member */
    uint64_t lanes = _pext_u64(0x0706050403020100ULL, bytes);
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)lanes));
}

/* a b + c */
static inline __m256 times_plus(__m256 a, __m256 b, __m256 c) {
#ifdef __FMA__
    return _mm256_fmadd_ps(a, b, c);
#else
    return _mm256_add_ps(_mm256_mul_ps(a, b), c);
#endif
}
#else
#define LANES 1
#endif

static inline int64_t near_points(const float *x, const float *y, const float *z, int32_t first,
                                  int64_t n, int64_t n_read, float hx, float hy, float hz,
                                  float near, float far, int32_t self, int32_t *out,
                                  int *doubtful) {
    int64_t k = 0, found = 0;
#if LANES == 16
    const __m512 vx = _mm512_set1_ps(hx), vy = _mm512_set1_ps(hy), vz = _mm512_set1_ps(hz);
    const __m512 vnear = _mm512_set1_ps(near), vfar = _mm512_set1_ps(far);
    const __m512i vself = _mm512_set1_epi32(self), vend = _mm512_set1_epi32(first + (int32_t)n);
    __m512i points = _mm512_add_epi32(
        _mm512_set1_epi32(first),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    unsigned doubts = 0;
    for (; k < n_read; k += LANES) {
        __m512 dx = _mm512_sub_ps(_mm512_loadu_ps(x + k), vx);
        __m512 dy = _mm512_sub_ps(_mm512_loadu_ps(y + k), vy);
        __m512 dz = _mm512_sub_ps(_mm512_loadu_ps(z + k), vz);
        __m512 square = _mm512_fmadd_ps(dz, dz, _mm512_fmadd_ps(dy, dy, _mm512_mul_ps(dx, dx)));
        __mmask16 there = _mm512_cmplt_epi32_mask(points, vend);
        __mmask16 other = _mm512_mask_cmpneq_epi32_mask(there, points, vself);
        __mmask16 hit = _mm512_mask_cmp_ps_mask(other, square, vfar, _CMP_LT_OQ);
        doubts |= _mm512_mask_cmp_ps_mask(hit, square, vnear, _CMP_GE_OQ);
        /* through a register: compressing straight into memory is slow on some processors */
        _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(hit, points));
        found += __builtin_popcount(hit);
        points = _mm512_add_epi32(points, _mm512_set1_epi32(LANES));
    }
    *doubtful |= doubts != 0;
#elif LANES == 8
    const __m256 vx = _mm256_set1_ps(hx), vy = _mm256_set1_ps(hy), vz = _mm256_set1_ps(hz);
    const __m256 vnear = _mm256_set1_ps(near), vfar = _mm256_set1_ps(far);
    const __m256i vself = _mm256_set1_epi32(self), vend = _mm256_set1_epi32(first + (int32_t)n);
    __m256i points = _mm256_add_epi32(_mm256_set1_epi32(first),
                                      _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    unsigned doubts = 0;
    for (; k < n_read; k += LANES) {
        __m256 dx = _mm256_sub_ps(_mm256_loadu_ps(x + k), vx);
        __m256 dy = _mm256_sub_ps(_mm256_loadu_ps(y + k), vy);
        __m256 dz = _mm256_sub_ps(_mm256_loadu_ps(z + k), vz);
        __m256 square = times_plus(dz, dz, times_plus(dy, dy, _mm256_mul_ps(dx, dx)));
        __m256 there = _mm256_castsi256_ps(_mm256_cmpgt_epi32(vend, points));
        __m256 same = _mm256_castsi256_ps(_mm256_cmpeq_epi32(points, vself));
        __m256 close = _mm256_and_ps(there, _mm256_cmp_ps(square, vfar, _CMP_LT_OQ));
        unsigned hit = (unsigned)_mm256_movemask_ps(_mm256_andnot_ps(same, close));
        doubts |= hit & (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(square, vnear, _CMP_GE_OQ));
        _mm256_storeu_si256((__m256i *)(out + found),
                            _mm256_permutevar8x32_epi32(points, front_order(hit)));
        found += __builtin_popcount(hit);
        points = _mm256_add_epi32(points, _mm256_set1_epi32(LANES));
    }
    *doubtful |= doubts != 0;
#else
    for (; k < n; k++) {
        float dx = x[k] - hx, dy = y[k] - hy, dz = z[k] - hz;
        float square = dx * dx + dy * dy + dz * dz;
        int hit = (first + k != self) & (square < far);
        out[found] = (int32_t)(first + k);
        found += hit;
        *doubtful |= hit & (square >= near);
    }
#endif
    return found;
}
