/* Four numbers side by side, for plain arithmetic in Cython: `a - b` on them is one instruction.
   GNU C vector types: gcc and clang compile them for any processor. */

#include <stdint.h>
#include <string.h>

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
