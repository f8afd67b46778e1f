// Memory traffic: copies, fills, and loads that wait for each other.
#include "rows.h"

#include <emmintrin.h>

#define AREA (256 * 1024)

static uint8_t *source;
static uint8_t *target;

static void two_areas(void) {
  source = pages(AREA + 4096);
  target = pages(AREA + 4096);
  uint64_t seed = 7;
  for (size_t i = 0; i < AREA + 4096; i++) {
    source[i] = (uint8_t)(next_random(&seed) >> 56);
    target[i] = 0;
  }
}

static uint64_t sum_of(const uint8_t *area) {
  uint64_t sum = FOLD_START;
  for (size_t i = 0; i < AREA; i++) {
    sum = fold(sum, area[i]);
  }
  return sum;
}

// What a C library does where it knows of SSE2 and no more; the library's own would be another on
// each CPU.
__attribute__((noinline)) static void copy(uint8_t *to, const uint8_t *from, size_t bytes) {
  size_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    __m128i a = _mm_loadu_si128((const __m128i *)(from + i));
    __m128i b = _mm_loadu_si128((const __m128i *)(from + i + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(from + i + 32));
    __m128i d = _mm_loadu_si128((const __m128i *)(from + i + 48));
    _mm_storeu_si128((__m128i *)(to + i), a);
    _mm_storeu_si128((__m128i *)(to + i + 16), b);
    _mm_storeu_si128((__m128i *)(to + i + 32), c);
    _mm_storeu_si128((__m128i *)(to + i + 48), d);
  }
  for (; i + 8 <= bytes; i += 8) {
    *(uint64_t *)(to + i) = *(const uint64_t *)(from + i);
  }
  for (; i < bytes; i++) {
    to[i] = from[i];
  }
}

// Mostly large copies, and as many instructions again in short ones, as programs make them.
static uint64_t copies(void) {
  uint64_t seed = 11;
  for (int round = 0; round < 18000; round++) {
    copy(target + round % 61, source + round % 47, AREA);
    for (int i = 0; i < 16; i++) {
      uint64_t dice = next_random(&seed);
      copy(target + (dice & 0xFFFF), source + (dice >> 16 & 0xFFFF), 1 + (dice >> 40 & 0xFF));
    }
  }
  return sum_of(target);
}

static uint64_t string_copies(void) {
  for (int round = 0; round < 65536; round++) {
    void *to = target + round % 61 * 64;
    const void *from = source + round % 47 * 32;
    size_t count = 4096 - round % 64;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  }
  return sum_of(target);
}

__attribute__((noinline)) static void fill(uint8_t *to, uint8_t with, size_t bytes) {
  __m128i value = _mm_set1_epi8((char)with);
  for (size_t i = 0; i + 64 <= bytes; i += 64) {
    _mm_storeu_si128((__m128i *)(to + i), value);
    _mm_storeu_si128((__m128i *)(to + i + 16), value);
    _mm_storeu_si128((__m128i *)(to + i + 32), value);
    _mm_storeu_si128((__m128i *)(to + i + 48), value);
  }
}

static uint64_t fills(void) {
  for (int round = 0; round < 19000; round++) {
    fill(target + round % 61, (uint8_t)round, AREA - round % 5 * 1024);
  }
  return sum_of(target);
}

// ---- A pointer chase through 64 MiB, one load a cache line ---------------------------------------

#define LINES (64 * 1024 * 1024 / 64)

struct line {
  struct line *next;
  uint64_t mark;
  uint64_t rest[6];
};

static struct line *lines;

// One cycle through all lines in random order: Sattolo's shuffle.
static void chase_prepare(void) {
  lines = pages((size_t)LINES * sizeof(struct line));
  uint32_t *order = pages((size_t)LINES * sizeof(uint32_t));
  uint64_t seed = 64;
  for (uint32_t i = 0; i < LINES; i++) {
    order[i] = i;
  }
  for (uint32_t i = LINES - 1; i > 0; i--) {
    uint32_t j = (uint32_t)((next_random(&seed) >> 32) * i >> 32);
    uint32_t kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  for (uint32_t i = 0; i < LINES; i++) {
    struct line *line = &lines[order[i]];
    line->next = &lines[order[(i + 1) % LINES]];
    line->mark = order[i];
  }
}

static uint64_t chase(void) {
  const struct line *at = lines;
  for (int i = 0; i < 3000000; i++) {
    at = at->next;
  }
  return fold(FOLD_START, at->mark);
}

const struct row memory_rows[] = {
    {"memcpy", two_areas, copies, NULL},
    {"rep-movsb", two_areas, string_copies, NULL},
    {"memset", two_areas, fills, NULL},
    {"chase", chase_prepare, chase, NULL},
    {NULL, NULL, NULL, NULL}};
