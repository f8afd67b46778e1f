// Floating point and vectors. Only operations whose results the standards fix to the last bit.
#include "rows.h"

#include <emmintrin.h>
#include <string.h>

static uint64_t bits(double value) {
  uint64_t result;
  memcpy(&result, &value, sizeof result);
  return result;
}

// SQRTSD itself: the library's sqrt would test its argument and set errno.
static double root(double value) {
  __m128d v = _mm_set_sd(value);
  return _mm_cvtsd_f64(_mm_sqrt_sd(v, v));
}

// ---- Five bodies that attract each other, in scalar doubles --------------------------------------

#define BODIES 5

struct body {
  double x, y, z, vx, vy, vz, mass;
};

static uint64_t nbody(void) {
  struct body bodies[BODIES];
  uint64_t seed = 5;
  double *all = &bodies[0].x;
  for (size_t i = 0; i < BODIES * 7; i++) {
    all[i] = (double)(int64_t)(next_random(&seed) >> 12) / (double)(INT64_C(1) << 50);
  }
  const double step = 0.001;
  for (int turn = 0; turn < 200000; turn++) {
    for (int i = 0; i < BODIES; i++) {
      struct body *a = &bodies[i];
      for (int j = i + 1; j < BODIES; j++) {
        struct body *b = &bodies[j];
        double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
        double square = dx * dx + dy * dy + dz * dz + 0.01;
        double force = step / (square * root(square));
        a->vx -= dx * b->mass * force;
        a->vy -= dy * b->mass * force;
        a->vz -= dz * b->mass * force;
        b->vx += dx * a->mass * force;
        b->vy += dy * a->mass * force;
        b->vz += dz * a->mass * force;
      }
    }
    for (int i = 0; i < BODIES; i++) {
      struct body *a = &bodies[i];
      a->x += step * a->vx;
      a->y += step * a->vy;
      a->z += step * a->vz;
    }
  }
  uint64_t sum = FOLD_START;
  for (size_t i = 0; i < BODIES * 7; i++) {
    sum = fold(sum, bits(all[i]));
  }
  return sum;
}

// ---- Packed doubles ------------------------------------------------------------------------------

#define VECTOR 2048

static double va[VECTOR] __attribute__((aligned(16)));
static double vb[VECTOR] __attribute__((aligned(16)));
static double vc[VECTOR] __attribute__((aligned(16)));

static void vectors(void) {
  uint64_t seed = 128;
  for (int i = 0; i < VECTOR; i++) {
    va[i] = (double)(next_random(&seed) >> 40) / 1048576.0;
    vb[i] = (double)(next_random(&seed) >> 40) / 2097152.0 + 0.5;
    vc[i] = 0;
  }
}

static uint64_t packed_doubles(void) {
  __m128d dot = _mm_setzero_pd();
  for (int turn = 0; turn < 7000; turn++) {
    __m128d scale = _mm_set1_pd(1.0 / (turn + 3));
    for (int i = 0; i < VECTOR; i += 4) {
      __m128d a = _mm_load_pd(va + i);
      __m128d a2 = _mm_load_pd(va + i + 2);
      __m128d c = _mm_add_pd(_mm_mul_pd(a, scale), _mm_load_pd(vb + i));
      __m128d c2 = _mm_add_pd(_mm_mul_pd(a2, scale), _mm_loadu_pd(vb + i + 2));
      _mm_store_pd(vc + i, c);
      _mm_storeu_pd(vc + i + 2, c2);
      dot = _mm_add_pd(dot, _mm_sub_pd(c, _mm_min_pd(c2, a)));
    }
    __m128d whole = _mm_set1_pd(0.5 * turn);
    dot = _mm_div_pd(dot, _mm_add_pd(_mm_sqrt_pd(whole), _mm_set1_pd(1.0)));
  }
  double ends[2];
  _mm_storeu_pd(ends, dot);
  uint64_t sum = fold(fold(FOLD_START, bits(ends[0])), bits(ends[1]));
  for (int i = 0; i < VECTOR; i++) {
    sum = fold(sum, bits(vc[i]));
  }
  return sum;
}

// ---- Packed integers -----------------------------------------------------------------------------

static uint8_t ia[1 << 14] __attribute__((aligned(16)));
static uint8_t ib[1 << 14] __attribute__((aligned(16)));

static void byte_vectors(void) {
  uint64_t seed = 129;
  for (size_t i = 0; i < sizeof ia; i++) {
    uint64_t dice = next_random(&seed);
    ia[i] = (uint8_t)(dice >> 56);
    ib[i] = (uint8_t)(dice >> 48);
  }
}

static uint64_t packed_integers(void) {
  __m128i total = _mm_setzero_si128();
  __m128i mixed = _mm_set1_epi32(0x01020304);
  const __m128i bound = _mm_set1_epi8(100);
  for (int turn = 0; turn < 5000; turn++) {
    for (size_t i = 0; i < sizeof ia; i += 16) {
      __m128i a = _mm_load_si128((const __m128i *)(ia + i));
      __m128i b = _mm_loadu_si128((const __m128i *)(ib + i));
      total = _mm_add_epi64(total, _mm_sad_epu8(a, b));
      __m128i products = _mm_madd_epi16(a, _mm_unpacklo_epi8(b, a));
      __m128i larger = _mm_cmpgt_epi8(a, bound);
      mixed = _mm_xor_si128(mixed, _mm_and_si128(larger, products));
      mixed = _mm_add_epi32(_mm_shuffle_epi32(mixed, 0x39), _mm_slli_epi32(products, 3));
      mixed = _mm_or_si128(_mm_srli_epi16(mixed, 1), _mm_packus_epi16(a, b));
    }
  }
  uint64_t ends[4];
  _mm_storeu_si128((__m128i *)ends, total);
  _mm_storeu_si128((__m128i *)(ends + 2), mixed);
  return fold(fold(fold(fold(FOLD_START, ends[0]), ends[1]), ends[2]), ends[3]);
}

// ---- x87 -----------------------------------------------------------------------------------------

static uint64_t extended(void) {
  long double x = 1.25L, y = 0.75L, total = 0.0L;
  for (int i = 1; i <= 1400000; i++) {
    long double n = (long double)i;
    x = x * 1.0000001L + y / n;
    y = y * 0.9999999L - x / (n + 1.0L);
    long double square = x * x + y * y;
    long double length;
    __asm__("fsqrt" : "=t"(length) : "0"(square));
    total += length - (long double)(int32_t)length;
    if (total > 100.0L) {
      total -= 100.0L;
    }
  }
  // The ten bytes of each, not the padding.
  long double ends[3] = {x, y, total};
  uint64_t sum = FOLD_START;
  for (int i = 0; i < 3; i++) {
    uint64_t mantissa;
    uint16_t exponent;
    memcpy(&mantissa, (char *)&ends[i], 8);
    memcpy(&exponent, (char *)&ends[i] + 8, 2);
    sum = fold(fold(sum, mantissa), exponent);
  }
  return sum;
}

const struct row floating_rows[] = {
    {"nbody", NULL, nbody, NULL},
    {"sse2-double", vectors, packed_doubles, NULL},
    {"sse2-integer", byte_vectors, packed_integers, NULL},
    {"x87", NULL, extended, NULL},
    {NULL, NULL, NULL, NULL}};
