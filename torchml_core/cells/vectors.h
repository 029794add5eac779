/* Four numbers side by side, for plain arithmetic in Cython: `a - b` on them is one instruction.
   GNU C vector types: gcc and clang compile them for any processor. */

#include <stdint.h>
#include <string.h>

typedef double vec4d __attribute__((vector_size(32)));
typedef int32_t vec4i __attribute__((vector_size(16)));

static inline vec4d load4d(const double *p) { vec4d v; memcpy(&v, p, sizeof v); return v; }
static inline vec4i load4i(const int32_t *p) { vec4i v; memcpy(&v, p, sizeof v); return v; }
static inline void store4d(double *p, vec4d v) { memcpy(p, &v, sizeof v); }
static inline void store4i(int32_t *p, vec4i v) { memcpy(p, &v, sizeof v); }
