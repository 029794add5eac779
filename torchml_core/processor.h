/* Which instructions this processor has, and the operating system lets programs use.

Each feature is called by the macro that gcc and clang define when they may use it. Those that no
compiler uses of its own accord (AES, SHA, AMX, ...) are left out. */
#ifndef TORCHML_CORE_PROCESSOR_H
#define TORCHML_CORE_PROCESSOR_H

#ifndef BUILDS /* setup.py defines it where it knows how to */
#define BUILDS "none="
#endif

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <cpuid.h>
#include <stddef.h>

enum { EAX, EBX, ECX, EDX };
enum { LEAF_1, LEAF_7, LEAF_7_1, LEAF_AMD, N_LEAVES }; /* what the instruction CPUID is asked for */
/* Registers that the system must save when it changes threads: bits of XCR0. Apple's systems begin
   to save those of AVX-512 when a program first uses them. */
enum { NO_STATE = 0, AVX_STATE = 0x6, APX_STATE = 0x80000 };
#if defined(__APPLE__)
enum { AVX512_STATE = AVX_STATE };
#else
enum { AVX512_STATE = 0xe6 };
#endif

typedef struct {
    const char *macro;
    int leaf, word, bit;
    unsigned state;
} Feature;

static const Feature FEATURES[] = {
    {"__SSE3__", LEAF_1, ECX, 0, NO_STATE},
    {"__SSSE3__", LEAF_1, ECX, 9, NO_STATE},
    {"__SSE4_1__", LEAF_1, ECX, 19, NO_STATE},
    {"__SSE4_2__", LEAF_1, ECX, 20, NO_STATE},
    {"__MOVBE__", LEAF_1, ECX, 22, NO_STATE},
    {"__POPCNT__", LEAF_1, ECX, 23, NO_STATE},
    {"__AVX__", LEAF_1, ECX, 28, AVX_STATE},
    {"__F16C__", LEAF_1, ECX, 29, AVX_STATE},
    {"__FMA__", LEAF_1, ECX, 12, AVX_STATE},
    {"__LZCNT__", LEAF_AMD, ECX, 5, NO_STATE},
    {"__SSE4A__", LEAF_AMD, ECX, 6, NO_STATE},
    {"__XOP__", LEAF_AMD, ECX, 11, AVX_STATE},
    {"__FMA4__", LEAF_AMD, ECX, 16, AVX_STATE},
    {"__TBM__", LEAF_AMD, ECX, 21, NO_STATE},
    {"__BMI__", LEAF_7, EBX, 3, NO_STATE},
    {"__AVX2__", LEAF_7, EBX, 5, AVX_STATE},
    {"__BMI2__", LEAF_7, EBX, 8, NO_STATE},
    {"__ADX__", LEAF_7, EBX, 19, NO_STATE},
    {"__AVX512F__", LEAF_7, EBX, 16, AVX512_STATE},
    {"__AVX512DQ__", LEAF_7, EBX, 17, AVX512_STATE},
    {"__AVX512IFMA__", LEAF_7, EBX, 21, AVX512_STATE},
    {"__AVX512CD__", LEAF_7, EBX, 28, AVX512_STATE},
    {"__AVX512BW__", LEAF_7, EBX, 30, AVX512_STATE},
    {"__AVX512VL__", LEAF_7, EBX, 31, AVX512_STATE},
    {"__AVX512VBMI__", LEAF_7, ECX, 1, AVX512_STATE},
    {"__AVX512VBMI2__", LEAF_7, ECX, 6, AVX512_STATE},
    {"__GFNI__", LEAF_7, ECX, 8, NO_STATE},
    {"__AVX512VNNI__", LEAF_7, ECX, 11, AVX512_STATE},
    {"__AVX512BITALG__", LEAF_7, ECX, 12, AVX512_STATE},
    {"__AVX512VPOPCNTDQ__", LEAF_7, ECX, 14, AVX512_STATE},
    {"__AVX512FP16__", LEAF_7, EDX, 23, AVX512_STATE},
    {"__AVXVNNI__", LEAF_7_1, EAX, 4, AVX_STATE},
    {"__AVX512BF16__", LEAF_7_1, EAX, 5, AVX512_STATE},
    {"__AVXIFMA__", LEAF_7_1, EAX, 23, AVX_STATE},
    {"__APX_F__", LEAF_7_1, EDX, 21, APX_STATE},
};
enum { N_FEATURES = sizeof(FEATURES) / sizeof(FEATURES[0]) };

static void ask(unsigned *words, unsigned leaf, unsigned subleaf, unsigned last) {
    if (leaf <= last)
        __cpuid_count(leaf, subleaf, words[EAX], words[EBX], words[ECX], words[EDX]);
}

/* Which of the features are there, 0 or 1. */
static void look_up_features(int *there) {
    unsigned words[N_LEAVES][4] = {{0}}, low = 0, high = 0;
    unsigned last = __get_cpuid_max(0, NULL); /* 50 us on some virtual machines, as each of these */
    ask(words[LEAF_1], 1, 0, last);
    ask(words[LEAF_7], 7, 0, last);
    ask(words[LEAF_7_1], 7, 1, last);
    ask(words[LEAF_AMD], 0x80000001, 0, __get_cpuid_max(0x80000000, NULL));
    if (words[LEAF_1][ECX] >> 27 & 1) /* the system lets programs use XGETBV */
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    for (int k = 0; k < N_FEATURES; k++) {
        const Feature *f = &FEATURES[k];
        there[k] = (words[f->leaf][f->word] >> f->bit & 1) && (low & f->state) == f->state;
    }
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

typedef struct {
    const char *macro;
    unsigned long which, bit; /* of Linux's auxiliary vector */
} Feature;

static const Feature FEATURES[] = {
    {"__ARM_FEATURE_CRC32", AT_HWCAP, 1UL << 7},
    {"__ARM_FEATURE_ATOMICS", AT_HWCAP, 1UL << 8},
    {"__ARM_FEATURE_FP16_VECTOR_ARITHMETIC", AT_HWCAP, 1UL << 10},
    {"__ARM_FEATURE_QRDMX", AT_HWCAP, 1UL << 12},
    {"__ARM_FEATURE_COMPLEX", AT_HWCAP, 1UL << 14},
    {"__ARM_FEATURE_DOTPROD", AT_HWCAP, 1UL << 20},
    {"__ARM_FEATURE_SVE", AT_HWCAP, 1UL << 22},
    {"__ARM_FEATURE_SVE2", AT_HWCAP2, 1UL << 1},
    {"__ARM_FEATURE_MATMUL_INT8", AT_HWCAP2, 1UL << 13},
    {"__ARM_FEATURE_BF16_VECTOR_ARITHMETIC", AT_HWCAP2, 1UL << 14},
};
enum { N_FEATURES = sizeof(FEATURES) / sizeof(FEATURES[0]) };

static void look_up_features(int *there) {
    for (int k = 0; k < N_FEATURES; k++)
        there[k] = (getauxval(FEATURES[k].which) & FEATURES[k].bit) != 0;
}

#else /* nothing is known, and nothing is looked up */
typedef struct {
    const char *macro;
} Feature;
static const Feature FEATURES[] = {{""}};
enum { N_FEATURES = 0 };

static void look_up_features(int *there) {
    (void)there;
}
#endif

#endif
