// Programs that write programs.
#include "rows.h"

#include <string.h>
#include <sys/mman.h>

typedef uint64_t (*function)(uint64_t);

static uint8_t *code;

static void writable_code(size_t bytes) {
  code = pages(bytes);
  if (mprotect(code, bytes, PROT_READ | PROT_WRITE | PROT_EXEC)) {
    fail("memory that is writable and executable");
  }
  memset(code, 0xC3, bytes);
}

static void patch_prepare(void) {
  writable_code(4096);
  // lea rax, [rdi + disp32]; ret
  static const uint8_t adder[] = {0x48, 0x8D, 0x87, 0, 0, 0, 0, 0xC3};
  memcpy(code, adder, sizeof adder);
}

static uint64_t patch(void) {
  uint64_t sum = FOLD_START;
  for (uint32_t i = 0; i < 30000; i++) {
    memcpy(code + 3, &i, sizeof i);
    sum = fold(sum, ((function)(void *)code)(sum & 0xFF));
  }
  return sum;
}

#define FUNCTIONS 30000
#define ROOM 128

static void fresh_prepare(void) { writable_code((size_t)FUNCTIONS * ROOM); }

// A function of twenty operations on its argument, drawn by dice, and a loop of two turns around.
static void emit(uint8_t *at, uint64_t dice) {
  static const uint8_t begin[] = {
      0x48, 0x89, 0xF8,              // mov rax, rdi
      0xB9, 0x02, 0x00, 0x00, 0x00}; // mov ecx, 2
  memcpy(at, begin, sizeof begin);
  uint8_t *start = at + sizeof begin;
  uint8_t *p = start;
  for (int i = 0; i < 20; i++, dice = dice >> 3 | dice << 61) {
    static const uint8_t operations[8][4] = {
        {0x48, 0x01, 0xF8, 0x90},  // add rax, rdi; nop
        {0x48, 0x31, 0xF8, 0x90},  // xor rax, rdi; nop
        {0x48, 0x29, 0xC7, 0x90},  // sub rdi, rax; nop
        {0x48, 0xC1, 0xC0, 0x05},  // rol rax, 5
        {0x48, 0xD1, 0xCF, 0x90},  // ror rdi, 1; nop
        {0x48, 0x0F, 0xAF, 0xC7},  // imul rax, rdi
        {0x48, 0x83, 0xC0, 0x11},  // add rax, 17
        {0x48, 0xF7, 0xD7, 0x90}}; // not rdi; nop
    memcpy(p, operations[dice & 7], 4);
    p += 4;
  }
  *p++ = 0xFF; // dec ecx
  *p++ = 0xC9;
  *p++ = 0x75; // jnz start
  *p = (uint8_t)(start - (p + 1));
  p++;
  *p = 0xC3;
}

static uint64_t fresh(void) {
  uint64_t sum = FOLD_START;
  uint64_t seed = 30000;
  for (size_t i = 0; i < FUNCTIONS; i++) {
    uint8_t *at = code + i * ROOM;
    emit(at, next_random(&seed));
    sum = fold(sum, ((function)(void *)at)(i));
  }
  return sum;
}

const struct row code_rows[] = {
    {"patch-code", patch_prepare, patch, NULL},
    {"fresh-code", fresh_prepare, fresh, NULL},
    {NULL, NULL, NULL, NULL}};
