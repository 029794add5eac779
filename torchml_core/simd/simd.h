/* Vectors of float64 and float32, as wide as the processor that we compile for has them; and of four
   numbers (at the end). Kernels, vectors.pxd, use the first, cells, fours.pxd, the second.

   Arithmetic is the compiler's own (gcc and clang: + - * / between vectors of one type); here is
   the little that it has no operators for. A vector may alias an array of its elements. */

#ifndef TORCHML_CORE_SIMD_H
#define TORCHML_CORE_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define SIMD_BYTES 64
#elif defined(__AVX__)
#define SIMD_BYTES 32
#else
#define SIMD_BYTES 16
#endif

#define SIMD_TYPE __attribute__((vector_size(SIMD_BYTES), may_alias))
typedef double vdouble SIMD_TYPE;
typedef float vfloat SIMD_TYPE;
typedef int64_t simd_int64 SIMD_TYPE;
typedef int32_t simd_int32 SIMD_TYPE;

/* The same number in every lane. (x - 0 is x for every x, -0 and NaN too.) */
static inline vdouble simd_splat_d(double x) { return x - (vdouble){0}; }
static inline vfloat simd_splat_f(float x) { return x - (vfloat){0}; }

/* To and from places that are not aligned. */
static inline void simd_store_d(double *to, vdouble x) { memcpy(to, &x, sizeof x); }
static inline void simd_store_f(float *to, vfloat x) { memcpy(to, &x, sizeof x); }

static inline vdouble simd_load_d(const double *from)
{
    vdouble x;
    memcpy(&x, from, sizeof x);
    return x;
}
static inline vfloat simd_load_f(const float *from)
{
    vfloat x;
    memcpy(&x, from, sizeof x);
    return x;
}

/* As many doubles as a vector has lanes, in its precision: from one place; or those of the given numbers,
   and another one for numbers below 0. */
typedef double simd_doubles __attribute__((vector_size(2 * SIMD_BYTES))); /* for each lane of a vfloat */
static inline vdouble simd_doubles_d(const double *from) { return simd_load_d(from); }
static inline vfloat simd_doubles_f(const double *from)
{
    simd_doubles x;
    memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, vfloat);
}
static inline vdouble simd_gather_d(const double *from, const int32_t *numbers, double other)
{
    vdouble x = simd_splat_d(other);
#if defined(__AVX512VL__)
    __m256i at = _mm256_loadu_si256((const __m256i *)numbers);
    __mmask8 there = _mm256_cmpge_epi32_mask(at, _mm256_setzero_si256());
    return (vdouble)_mm512_mask_i32gather_pd((__m512d)x, there, at, from, 8);
#else
    for (unsigned k = 0; k < sizeof x / sizeof x[0]; k++) x[k] = numbers[k] < 0 ? other : from[numbers[k]];
    return x;
#endif
}
static inline vfloat simd_gather_f(const double *from, const int32_t *numbers, double other)
{
    enum { lanes = SIMD_BYTES / sizeof(double) };
    vdouble x[2] = {simd_gather_d(from, numbers, other), simd_gather_d(from, numbers + lanes, other)};
    return simd_doubles_f((const double *)x);
}

/* The whole part of numbers from 0 on, which is also stored. */
typedef int32_t simd_int32s __attribute__((vector_size(SIMD_BYTES / 2)));
static inline vdouble simd_whole(vdouble x, int32_t *to)
{
    simd_int32s whole = __builtin_convertvector(x, simd_int32s);
    memcpy(to, &whole, sizeof whole);
    return __builtin_convertvector(whole, vdouble);
}

/* 0, 1, 2 ... */
static const double simd_numbers[SIMD_BYTES / 4] = {
    0, 1, 2, 3,
#if SIMD_BYTES > 16
    4, 5, 6, 7,
#endif
#if SIMD_BYTES > 32
    8, 9, 10, 11, 12, 13, 14, 15,
#endif
};

/* x in a register, where the compiler must leave it. */
#if defined(__AVX512F__)
#define SIMD_HOLD(x) __asm__("" : "+v"(x))
#elif defined(__SSE2__)
#define SIMD_HOLD(x) __asm__("" : "+x"(x))
#else
#define SIMD_HOLD(x)
#endif
static inline vdouble simd_held_d(vdouble x) { SIMD_HOLD(x); return x; }
static inline vfloat simd_held_f(vfloat x) { SIMD_HOLD(x); return x; }
static inline const void *simd_held_pointer(const void *p) { __asm__("" : "+r"(p)); return p; }

/* 1 where x > 0, else 0. */
static inline vdouble simd_step_d(vdouble x)
{
    return (vdouble)((x > 0) & (simd_int64)simd_splat_d(1));
}
static inline vfloat simd_step_f(vfloat x)
{
    return (vfloat)((x > 0) & (simd_int32)simd_splat_f(1));
}

static inline vdouble simd_abs_d(vdouble x)
{
    return (vdouble)((simd_int64)x & INT64_MAX);
}
static inline vfloat simd_abs_f(vfloat x)
{
    return (vfloat)((simd_int32)x & INT32_MAX);
}

/* One number where x > 0, another elsewhere. */
static inline vdouble simd_pick_d(vdouble x, vdouble positive, vdouble other)
{
    simd_int64 mask = x > 0;
    return (vdouble)(((simd_int64)positive & mask) | ((simd_int64)other & ~mask));
}
static inline vfloat simd_pick_f(vfloat x, vfloat positive, vfloat other)
{
    simd_int32 mask = x > 0;
    return (vfloat)(((simd_int32)positive & mask) | ((simd_int32)other & ~mask));
}

#if defined(__AVX512F__)
#define SIMD_X86(name) _mm512_##name
#elif defined(__AVX__)
#define SIMD_X86(name) _mm256_##name
#elif defined(__SSE2__)
#define SIMD_X86(name) _mm_##name
#endif

#if defined(SIMD_X86)
static inline vdouble simd_max_d(vdouble x, vdouble y) { return (vdouble)SIMD_X86(max_pd)(x, y); }
static inline vfloat simd_max_f(vfloat x, vfloat y) { return (vfloat)SIMD_X86(max_ps)(x, y); }
static inline vdouble simd_sqrt_d(vdouble x) { return (vdouble)SIMD_X86(sqrt_pd)(x); }
static inline vfloat simd_sqrt_f(vfloat x) { return (vfloat)SIMD_X86(sqrt_ps)(x); }
#else
static inline vdouble simd_max_d(vdouble x, vdouble y)
{
    simd_int64 mask = x > y;
    return (vdouble)(((simd_int64)x & mask) | ((simd_int64)y & ~mask));
}
static inline vfloat simd_max_f(vfloat x, vfloat y)
{
    simd_int32 mask = x > y;
    return (vfloat)(((simd_int32)x & mask) | ((simd_int32)y & ~mask));
}
static inline vdouble simd_sqrt_d(vdouble x)
{
    for (unsigned k = 0; k < sizeof x / sizeof x[0]; k++) x[k] = sqrt(x[k]);
    return x;
}
static inline vfloat simd_sqrt_f(vfloat x)
{
    for (unsigned k = 0; k < sizeof x / sizeof x[0]; k++) x[k] = sqrtf(x[k]);
    return x;
}
#endif

/* 1/sqrt(x). AVX-512 has an estimate y of 14 bits; with e = 1 - x y², it is y / sqrt(1 - e), of which
   some terms of the series suffice: less work than a square root and a division, for which the
   processor's vector units wait. */
static inline vdouble simd_rsqrt_d(vdouble x)
{
#if defined(__AVX512F__)
    vdouble y = (vdouble)_mm512_rsqrt14_pd((__m512d)x), e = 1.0 - x * y * y;
    return y + y * e * (0.5 + e * (0.375 + e * 0.3125));
#else
    return 1.0 / simd_sqrt_d(x);
#endif
}
static inline vfloat simd_rsqrt_f(vfloat x)
{
#if defined(__AVX512F__)
    vfloat y = (vfloat)_mm512_rsqrt14_ps((__m512)x), e = 1.0f - x * y * y;
    return y + y * e * 0.5f;
#else
    return 1.0f / simd_sqrt_f(x);
#endif
}

/* Which lanes are below a limit, one bit each; and such lanes without gaps: pack stores them at
   ``to``, with anything behind them up to a whole vector. No branches: a wrong guess costs more. */
static inline unsigned simd_below_d(vdouble x, double limit)
{
#if defined(__AVX512F__)
    return _mm512_cmp_pd_mask((__m512d)x, _mm512_set1_pd(limit), _CMP_LT_OQ);
#elif defined(__AVX__)
    return _mm256_movemask_pd((__m256d)(x < limit));
#else
    return (x[0] < limit) | (x[1] < limit) << 1;
#endif
}
static inline unsigned simd_below_f(vfloat x, float limit)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(limit), _CMP_LT_OQ);
#elif defined(__AVX__)
    return _mm256_movemask_ps((__m256)(x < limit));
#else
    return (x[0] < limit) | (x[1] < limit) << 1 | (x[2] < limit) << 2 | (x[3] < limit) << 3;
#endif
}
#if defined(__AVX512F__)
static inline void simd_pack_d(double *to, vdouble x, unsigned lanes)
{
    simd_store_d(to, (vdouble)_mm512_maskz_compress_pd((__mmask8)lanes, (__m512d)x));
}
static inline void simd_pack_f(float *to, vfloat x, unsigned lanes)
{
    simd_store_f(to, (vfloat)_mm512_maskz_compress_ps((__mmask16)lanes, (__m512)x));
}
/* first + the number of each such lane, of n_lanes. */
static inline void simd_pack_index(int32_t *to, int32_t first, unsigned lanes, int n_lanes)
{
    __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    count = _mm512_add_epi32(count, _mm512_set1_epi32(first));
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32((__mmask16)lanes, count));
    (void)n_lanes;
}
#elif defined(__AVX2__)
/* For each set of eight lanes the numbers of those that are in it, a byte each, without gaps. */
#define SIMD_BEFORE(set, k) __builtin_popcount((set) & ((1 << (k)) - 1))
#define SIMD_PLACE(set, k) ((uint64_t)((set) >> (k) & 1) * (k) << 8 * SIMD_BEFORE(set, k))
#define SIMD_PLACES(set) (SIMD_PLACE(set, 1) | SIMD_PLACE(set, 2) | SIMD_PLACE(set, 3) \
    | SIMD_PLACE(set, 4) | SIMD_PLACE(set, 5) | SIMD_PLACE(set, 6) | SIMD_PLACE(set, 7))
#define SIMD_SETS4(set) SIMD_PLACES(set), SIMD_PLACES(set + 1), SIMD_PLACES(set + 2), SIMD_PLACES(set + 3)
#define SIMD_SETS16(set) SIMD_SETS4(set), SIMD_SETS4(set + 4), SIMD_SETS4(set + 8), SIMD_SETS4(set + 12)
#define SIMD_SETS64(set) \
    SIMD_SETS16(set), SIMD_SETS16(set + 16), SIMD_SETS16(set + 32), SIMD_SETS16(set + 48)
static const uint64_t simd_places[256] = {
    SIMD_SETS64(0), SIMD_SETS64(64), SIMD_SETS64(128), SIMD_SETS64(192)
};
static inline __m128i simd_places_of(unsigned lanes)
{
    return _mm_cvtsi64_si128((int64_t)simd_places[lanes]);
}
static inline void simd_pack_d(double *to, vdouble x, unsigned lanes)
{
    __m256i place = _mm256_cvtepu8_epi64(simd_places_of(lanes)), halves; /* 2 n and 2 n + 1 */
    place = _mm256_add_epi64(place, place);
    halves = _mm256_or_si256(place, _mm256_slli_epi64(place, 32));
    halves = _mm256_add_epi64(halves, _mm256_set1_epi64x((int64_t)1 << 32));
    simd_store_d(to, (vdouble)_mm256_permutevar8x32_epi32((__m256i)x, halves));
}
static inline void simd_pack_f(float *to, vfloat x, unsigned lanes)
{
    __m256i place = _mm256_cvtepu8_epi32(simd_places_of(lanes));
    simd_store_f(to, (vfloat)_mm256_permutevar8x32_ps((__m256)x, place));
}
static inline void simd_pack_index(int32_t *to, int32_t first, unsigned lanes, int n_lanes)
{
    __m256i place = _mm256_cvtepu8_epi32(simd_places_of(lanes));
    place = _mm256_add_epi32(place, _mm256_set1_epi32(first));
    memcpy(to, &place, 4 * n_lanes); /* a constant, where this is inlined */
}
#else
static inline void simd_pack_d(double *to, vdouble x, unsigned lanes)
{
    for (unsigned k = 0, n = 0; k < SIMD_BYTES / 8; n += lanes >> k & 1, k++) to[n] = x[k];
}
static inline void simd_pack_f(float *to, vfloat x, unsigned lanes)
{
    for (unsigned k = 0, n = 0; k < SIMD_BYTES / 4; n += lanes >> k & 1, k++) to[n] = x[k];
}
static inline void simd_pack_index(int32_t *to, int32_t first, unsigned lanes, int n_lanes)
{
    for (int k = 0, n = 0; k < n_lanes; n += lanes >> k & 1, k++) to[n] = first + k;
}
#endif
static inline void simd_fill_index(int32_t *to, int32_t index, int n_lanes)
{
    simd_int32 x = index - (simd_int32){0};
    memcpy(to, &x, 4 * n_lanes); /* a constant, where this is inlined */
}
static inline int simd_count(unsigned lanes) { return __builtin_popcount(lanes); }

/* Round to a whole number n, |n| < 2^20 or so, and x times 2^n. Adding 1.5 times 2^52 leaves n in
   the low bits of the sum; from there it is shifted into the exponent of x. */
static inline vdouble simd_round_d(vdouble x, vdouble *shifted)
{
    *shifted = x + 6755399441055744.0;
    return *shifted - 6755399441055744.0;
}
static inline vfloat simd_round_f(vfloat x, vfloat *shifted)
{
    *shifted = x + 12582912.0f;
    return *shifted - 12582912.0f;
}
static inline vdouble simd_scale_d(vdouble x, vdouble shifted)
{
    return (vdouble)((simd_int64)x + ((simd_int64)shifted << 52));
}
static inline vfloat simd_scale_f(vfloat x, vfloat shifted)
{
    return (vfloat)((simd_int32)x + ((simd_int32)shifted << 23));
}

/* x = m times 2^e with m between sqrt(1/2) and sqrt(2), for normal x > 0; anything finite for 0. */
static inline vdouble simd_split_d(vdouble x, vdouble *e)
{
    simd_int64 bits = (simd_int64)x, n = (bits - 0x3fe6a09e667f3bcd) >> 52;
    *e = __builtin_convertvector(n, vdouble);
    return (vdouble)(bits - (n << 52));
}
static inline vfloat simd_split_f(vfloat x, vfloat *e)
{
    simd_int32 bits = (simd_int32)x, n = (bits - 0x3f3504f3) >> 23;
    *e = __builtin_convertvector(n, vfloat);
    return (vfloat)(bits - (n << 23));
}

/* Transpose a square of vectors, in registers: round s (1, 2, 4 ...) swaps the upper right with the
   lower left quarter, s wide, of each square of 2 s lanes. */
#define SIMD_UPPER(k, s, n) ((k) & (s) ? (n) + (k) - (s) : (k))
#define SIMD_LOWER(k, s, n) ((k) & (s) ? (n) + (k) : (k) + (s))
#define SIMD_PICK2(a, b, PICK, s, n) __builtin_shufflevector(a, b, PICK(0, s, n), PICK(1, s, n))
#define SIMD_PICK4(a, b, PICK, s, n) __builtin_shufflevector(a, b, \
    PICK(0, s, n), PICK(1, s, n), PICK(2, s, n), PICK(3, s, n))
#define SIMD_PICK8(a, b, PICK, s, n) __builtin_shufflevector(a, b, \
    PICK(0, s, n), PICK(1, s, n), PICK(2, s, n), PICK(3, s, n), \
    PICK(4, s, n), PICK(5, s, n), PICK(6, s, n), PICK(7, s, n))
#define SIMD_PICK16(a, b, PICK, s, n) __builtin_shufflevector(a, b, \
    PICK(0, s, n), PICK(1, s, n), PICK(2, s, n), PICK(3, s, n), \
    PICK(4, s, n), PICK(5, s, n), PICK(6, s, n), PICK(7, s, n), \
    PICK(8, s, n), PICK(9, s, n), PICK(10, s, n), PICK(11, s, n), \
    PICK(12, s, n), PICK(13, s, n), PICK(14, s, n), PICK(15, s, n))
#define SIMD_ROUND(x, vector, PICKN, s, n) \
    for (int k = 0; k < n; k++) \
        if (!(k & (s))) { \
            vector upper = PICKN(x[k], x[k + (s)], SIMD_UPPER, s, n); \
            x[k + (s)] = PICKN(x[k], x[k + (s)], SIMD_LOWER, s, n); \
            x[k] = upper; \
        }
#if SIMD_BYTES == 64
#define SIMD_ROUNDS_D(x) SIMD_ROUND(x, vdouble, SIMD_PICK8, 1, 8) \
    SIMD_ROUND(x, vdouble, SIMD_PICK8, 2, 8) SIMD_ROUND(x, vdouble, SIMD_PICK8, 4, 8)
#define SIMD_ROUNDS_F(x) SIMD_ROUND(x, vfloat, SIMD_PICK16, 1, 16) \
    SIMD_ROUND(x, vfloat, SIMD_PICK16, 2, 16) SIMD_ROUND(x, vfloat, SIMD_PICK16, 4, 16) \
    SIMD_ROUND(x, vfloat, SIMD_PICK16, 8, 16)
#elif SIMD_BYTES == 32
#define SIMD_ROUNDS_D(x) SIMD_ROUND(x, vdouble, SIMD_PICK4, 1, 4) \
    SIMD_ROUND(x, vdouble, SIMD_PICK4, 2, 4)
#define SIMD_ROUNDS_F(x) SIMD_ROUND(x, vfloat, SIMD_PICK8, 1, 8) \
    SIMD_ROUND(x, vfloat, SIMD_PICK8, 2, 8) SIMD_ROUND(x, vfloat, SIMD_PICK8, 4, 8)
#else
#define SIMD_ROUNDS_D(x) SIMD_ROUND(x, vdouble, SIMD_PICK2, 1, 2)
#define SIMD_ROUNDS_F(x) SIMD_ROUND(x, vfloat, SIMD_PICK4, 1, 4) \
    SIMD_ROUND(x, vfloat, SIMD_PICK4, 2, 4)
#endif
/* Two vectors as one sequence: its even and its odd elements; and alternating elements of both, the
   first and the second half of them. */
#define SIMD_EVEN(k, s, n) (2 * (k))
#define SIMD_ODD(k, s, n) (2 * (k) + 1)
#define SIMD_ZIP(k, s, n) ((s) / 2 + (k) / 2 + ((k) & 1) * (n))
#if SIMD_BYTES == 64
#define SIMD_PICK_D(a, b, PICK, s) SIMD_PICK8(a, b, PICK, s, 8)
#define SIMD_PICK_F(a, b, PICK, s) SIMD_PICK16(a, b, PICK, s, 16)
#elif SIMD_BYTES == 32
#define SIMD_PICK_D(a, b, PICK, s) SIMD_PICK4(a, b, PICK, s, 4)
#define SIMD_PICK_F(a, b, PICK, s) SIMD_PICK8(a, b, PICK, s, 8)
#else
#define SIMD_PICK_D(a, b, PICK, s) SIMD_PICK2(a, b, PICK, s, 2)
#define SIMD_PICK_F(a, b, PICK, s) SIMD_PICK4(a, b, PICK, s, 4)
#endif
static inline vdouble simd_even_d(vdouble a, vdouble b) { return SIMD_PICK_D(a, b, SIMD_EVEN, 0); }
static inline vfloat simd_even_f(vfloat a, vfloat b) { return SIMD_PICK_F(a, b, SIMD_EVEN, 0); }
static inline vdouble simd_odd_d(vdouble a, vdouble b) { return SIMD_PICK_D(a, b, SIMD_ODD, 0); }
static inline vfloat simd_odd_f(vfloat a, vfloat b) { return SIMD_PICK_F(a, b, SIMD_ODD, 0); }
static inline vdouble simd_zip_d(vdouble a, vdouble b) { return SIMD_PICK_D(a, b, SIMD_ZIP, 0); }
static inline vfloat simd_zip_f(vfloat a, vfloat b) { return SIMD_PICK_F(a, b, SIMD_ZIP, 0); }
static inline vdouble simd_zip_end_d(vdouble a, vdouble b)
{
    return SIMD_PICK_D(a, b, SIMD_ZIP, SIMD_BYTES / 8);
}
static inline vfloat simd_zip_end_f(vfloat a, vfloat b)
{
    return SIMD_PICK_F(a, b, SIMD_ZIP, SIMD_BYTES / 4);
}

/* n numbers from any place, again and again; n is 1, 2 or 4, and no more than the lanes. A load does it,
   without the shuffling that compilers make of a loop. */
static inline vdouble simd_repeat_d(const double *from, int n)
{
    vdouble x;
    if (n == 1) return simd_splat_d(*from);
#if defined(__AVX512F__)
    if (n == 2) return (vdouble)_mm512_broadcast_f32x4(_mm_loadu_ps((const float *)from));
    return (vdouble)_mm512_broadcast_f64x4(_mm256_loadu_pd(from));
#elif defined(__AVX__)
    if (n == 2) return (vdouble)_mm256_broadcast_pd((const __m128d *)from);
#endif
    for (unsigned k = 0; k < SIMD_BYTES / 8; k++) x[k] = from[k % n];
    return x;
}
static inline vfloat simd_repeat_f(const float *from, int n)
{
    vfloat x;
    if (n == 1) return simd_splat_f(*from);
    if (n == 2) {
        int64_t two; /* of integers, since as float64 they may be signaling NaN */
        memcpy(&two, from, sizeof two);
        return (vfloat)((simd_int64){0} + two);
    }
#if defined(__AVX512F__)
    return (vfloat)_mm512_broadcast_f32x4(_mm_loadu_ps(from));
#elif defined(__AVX__)
    return (vfloat)_mm256_broadcast_ps((const __m128 *)from);
#endif
    for (unsigned k = 0; k < SIMD_BYTES / 4; k++) x[k] = from[k % n];
    return x;
}

static inline void simd_transpose_d(double *to, ptrdiff_t to_row, const double *from, ptrdiff_t row)
{
    enum { n = SIMD_BYTES / 8 };
    vdouble x[n];
    for (int k = 0; k < n; k++) x[k] = *(const vdouble *)(from + k * row);
    SIMD_ROUNDS_D(x)
    for (int k = 0; k < n; k++) *(vdouble *)(to + k * to_row) = x[k];
}
static inline void simd_transpose_f(float *to, ptrdiff_t to_row, const float *from, ptrdiff_t row)
{
    enum { n = SIMD_BYTES / 4 };
    vfloat x[n];
    for (int k = 0; k < n; k++) x[k] = *(const vfloat *)(from + k * row);
    SIMD_ROUNDS_F(x)
    for (int k = 0; k < n; k++) *(vfloat *)(to + k * to_row) = x[k];
}

/* Copy n numbers past the caches, to where they are not read again soon. A usual store to memory first
   reads the line that it changes; whole lines that are stored like this are not read, and push nothing
   else out of the caches. Return whether all numbers are finite, so that none has to be read for that.
   Before another thread reads what was stored: simd_end_stream. */
#if defined(SIMD_X86)
#define SIMD_STREAM_D(to, x) SIMD_X86(stream_pd)(to, x)
#define SIMD_STREAM_F(to, x) SIMD_X86(stream_ps)(to, x)
static inline void simd_end_stream(void) { _mm_sfence(); }
#else
#define SIMD_STREAM_D(to, x) (*(vdouble *)(to) = (x))
#define SIMD_STREAM_F(to, x) (*(vfloat *)(to) = (x))
static inline void simd_end_stream(void) {}
#endif
/* One aligned vector. */
static inline void simd_store_past_d(double *to, vdouble x) { SIMD_STREAM_D(to, x); }
static inline void simd_store_past_f(float *to, vfloat x) { SIMD_STREAM_F(to, x); }
#define SIMD_STREAM(name, number, vector, integers, load, STREAM) \
    static inline int name(number *to, const number *from, ptrdiff_t n) \
    { \
        enum { lanes = SIMD_BYTES / sizeof(number), line = 64 / sizeof(number) }; \
        integers bad = {0}; \
        number rest = 0; /* x - x is 0, or NaN */ \
        ptrdiff_t k = 0, line_end; \
        for (; k < n && (uintptr_t)(to + k) % 64; k++) to[k] = from[k], rest += from[k] - from[k]; \
        for (line_end = k + line; line_end <= n; line_end += line) \
            for (; k < line_end; k += lanes) { \
                vector x = load(from + k); \
                bad |= (integers)(x - x); \
                STREAM(to + k, x); \
            } \
        for (; k < n; k++) to[k] = from[k], rest += from[k] - from[k]; \
        for (int lane = 0; lane < lanes; lane++) rest += bad[lane] != 0 ? NAN : 0; \
        return rest == 0; \
    }
SIMD_STREAM(simd_stream_d, double, vdouble, simd_int64, simd_load_d, SIMD_STREAM_D)
SIMD_STREAM(simd_stream_f, float, vfloat, simd_int32, simd_load_f, SIMD_STREAM_F)

/* Whether all of n numbers are finite. */
#define SIMD_FINITE(name, number, vector, integers, load) \
    static inline int name(const number *from, ptrdiff_t n) \
    { \
        enum { lanes = SIMD_BYTES / sizeof(number) }; \
        integers bad[2] = {{0}}; \
        number rest = 0; /* x - x is 0, or NaN */ \
        ptrdiff_t k = 0; \
        for (; k + 2 * lanes <= n; k += 2 * lanes) { \
            vector x = load(from + k), y = load(from + k + lanes); \
            bad[0] |= (integers)(x - x), bad[1] |= (integers)(y - y); \
        } \
        for (; k < n; k++) rest += from[k] - from[k]; \
        bad[0] |= bad[1]; \
        for (int lane = 0; lane < lanes; lane++) rest += bad[0][lane] != 0 ? NAN : 0; \
        return rest == 0; \
    }
SIMD_FINITE(simd_finite_d, double, vdouble, simd_int64, simd_load_d)
SIMD_FINITE(simd_finite_f, float, vfloat, simd_int32, simd_load_f)

/* The sum over the lanes, halving the vector until two are left; and those of four vectors, in the same
   order of additions, so with the same bits. */
typedef double simd_d2 __attribute__((vector_size(16)));
typedef float simd_f4 __attribute__((vector_size(16)));
static inline simd_d2 simd_half_total_d(vdouble x)
{
    union { vdouble whole; simd_d2 part[SIMD_BYTES / 16]; } u = {x};
#if SIMD_BYTES == 64
    return (u.part[0] + u.part[1]) + (u.part[2] + u.part[3]);
#elif SIMD_BYTES == 32
    return u.part[0] + u.part[1];
#else
    return u.part[0];
#endif
}
static inline simd_f4 simd_half_total_f(vfloat x)
{
    union { vfloat whole; simd_f4 part[SIMD_BYTES / 16]; } u = {x};
#if SIMD_BYTES == 64
    return (u.part[0] + u.part[1]) + (u.part[2] + u.part[3]);
#elif SIMD_BYTES == 32
    return u.part[0] + u.part[1];
#else
    return u.part[0];
#endif
}
static inline double simd_total_d(vdouble x)
{
    simd_d2 sum = simd_half_total_d(x);
    return sum[0] + sum[1];
}
static inline float simd_total_f(vfloat x)
{
    simd_f4 sum = simd_half_total_f(x);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
static inline void simd_four_totals_d(const vdouble *x, double *totals)
{
    for (int k = 0; k < 4; k += 2) {
        simd_d2 a = simd_half_total_d(x[k]), b = simd_half_total_d(x[k + 1]);
        simd_d2 sum = __builtin_shufflevector(a, b, 0, 2) + __builtin_shufflevector(a, b, 1, 3);
        memcpy(totals + k, &sum, sizeof sum);
    }
}
static inline simd_f4 simd_sums_of_two_f(simd_f4 a, simd_f4 b)
{
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
}
static inline void simd_four_totals_f(const vfloat *x, float *totals)
{
    simd_f4 a = simd_sums_of_two_f(simd_half_total_f(x[0]), simd_half_total_f(x[1]));
    simd_f4 b = simd_sums_of_two_f(simd_half_total_f(x[2]), simd_half_total_f(x[3]));
    simd_f4 sum = simd_sums_of_two_f(a, b);
    memcpy(totals, &sum, sizeof sum);
}

/* Four numbers side by side whatever the processor's vectors, for positions: x, y, z and one more. */
typedef double vec4d __attribute__((vector_size(32)));
typedef int32_t vec4i __attribute__((vector_size(16)));

static inline vec4d load4d(const double *p) { vec4d v; memcpy(&v, p, sizeof v); return v; }
static inline vec4i load4i(const int32_t *p) { vec4i v; memcpy(&v, p, sizeof v); return v; }
static inline vec4i four4i(int32_t a, int32_t b, int32_t c, int32_t d) { return (vec4i){a, b, c, d}; }
static inline void store4d(double *p, vec4d v) { memcpy(p, &v, sizeof v); }
static inline void store4i(int32_t *p, vec4i v) { memcpy(p, &v, sizeof v); }

/* s[0] a + s[1] b + s[2] c */
static inline vec4d combined4(vec4i s, vec4d a, vec4d b, vec4d c) {
    vec4d times = __builtin_convertvector(s, vec4d);
    return times[0] * a + times[1] * b + times[2] * c;
}

#endif
