// Integer work of one process in user mode.
#include "rows.h"

#include <string.h>

// ---- A mix: linked lists, matrices, a state machine, a checksum ----------------------------------

struct node {
  struct node *next;
  int16_t key;
  int16_t value;
};

#define NODES 400
#define MATRIX 24
#define INPUT 512

static struct node nodes[NODES];
static int16_t left[MATRIX][MATRIX];
static int16_t right[MATRIX][MATRIX];
static int32_t product[MATRIX][MATRIX];
static char input[INPUT];

static uint16_t crc16(uint16_t crc, uint32_t value, int bits) {
  for (int i = 0; i < bits; i++) {
    uint16_t carry = (uint16_t)((crc ^ value) & 1);
    crc >>= 1;
    value >>= 1;
    if (carry) {
      crc ^= 0xA001;
    }
  }
  return crc;
}

static struct node *merge(struct node *a, struct node *b, int by_value) {
  struct node head = {0};
  struct node *tail = &head;
  while (a && b) {
    int first = by_value ? a->value <= b->value : a->key <= b->key;
    if (first) {
      tail->next = a;
      a = a->next;
    } else {
      tail->next = b;
      b = b->next;
    }
    tail = tail->next;
  }
  tail->next = a ? a : b;
  return head.next;
}

static struct node *sort(struct node *list, int by_value) {
  if (!list || !list->next) {
    return list;
  }
  struct node *slow = list;
  for (struct node *fast = list->next; fast && fast->next; fast = fast->next->next) {
    slow = slow->next;
  }
  struct node *second = slow->next;
  slow->next = NULL;
  return merge(sort(list, by_value), sort(second, by_value), by_value);
}

static struct node *reverse(struct node *list) {
  struct node *done = NULL;
  while (list) {
    struct node *next = list->next;
    list->next = done;
    done = list;
    list = next;
  }
  return done;
}

static uint16_t lists(uint16_t crc, int round) {
  struct node *list = NULL;
  for (int i = 0; i < NODES; i++) {
    nodes[i].key = (int16_t)(i * 7919 + round);
    nodes[i].value = (int16_t)(i * 104729 ^ round);
    nodes[i].next = list;
    list = &nodes[i];
  }
  list = sort(list, 1);
  for (int wanted = 0; wanted < 40; wanted++) {
    int found = 0;
    for (struct node *n = list; n; n = n->next) {
      if ((n->value & 0xFF) == wanted) {
        found = n->key;
        break;
      }
    }
    crc = crc16(crc, (uint32_t)found, 16);
  }
  list = sort(reverse(list), 0);
  for (struct node *n = list; n; n = n->next) {
    crc = crc16(crc, (uint16_t)n->value, 8);
  }
  return crc;
}

static uint16_t matrices(uint16_t crc, int round) {
  for (int i = 0; i < MATRIX; i++) {
    for (int j = 0; j < MATRIX; j++) {
      left[i][j] = (int16_t)(i * 31 + j + round);
      right[i][j] = (int16_t)(j * 17 - i + round);
    }
  }
  for (int i = 0; i < MATRIX; i++) {
    for (int j = 0; j < MATRIX; j++) {
      int32_t sum = 0;
      for (int k = 0; k < MATRIX; k++) {
        sum += left[i][k] * right[k][j];
      }
      product[i][j] = sum;
    }
  }
  int32_t total = 0;
  for (int i = 0; i < MATRIX; i++) {
    for (int j = 0; j < MATRIX; j++) {
      int32_t bits = (product[i][j] >> 2 & 0xF) * (product[i][j] >> 5 & 0x7F);
      total += bits > 400 ? 10 : bits;
    }
  }
  return crc16(crc, (uint32_t)total, 32);
}

enum state { START, SIGN, WHOLE, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, SCALE, INVALID, STATES };

static enum state scan(const char **at, const char *end, uint32_t *visits) {
  enum state state = START;
  while (*at < end && **at != ',') {
    char c = *(*at)++;
    int digit = c >= '0' && c <= '9';
    switch (state) {
      case START:
        state = digit ? WHOLE : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : INVALID;
        break;
      case SIGN:
        state = digit ? WHOLE : c == '.' ? POINT : INVALID;
        break;
      case WHOLE:
        state = digit ? WHOLE : c == '.' ? FRACTION : c == 'e' ? EXPONENT : INVALID;
        break;
      case POINT:
      case FRACTION:
        state = digit ? FRACTION : c == 'e' ? EXPONENT : INVALID;
        break;
      case EXPONENT:
        state = digit ? SCALE : c == '+' || c == '-' ? EXPONENT_SIGN : INVALID;
        break;
      case EXPONENT_SIGN:
      case SCALE:
        state = digit ? SCALE : INVALID;
        break;
      default:
        break;
    }
    visits[state]++;
  }
  if (*at < end) {
    (*at)++;
  }
  return state;
}

static uint16_t states(uint16_t crc, int round) {
  static const char alphabet[] = "0123456789+-.e,5,7,2,x.e";
  uint64_t seed = (uint64_t)round + 1;
  for (int i = 0; i < INPUT; i++) {
    input[i] = alphabet[next_random(&seed) >> 32 & 15];
    if (i % 9 == 8) {
      input[i] = alphabet[14 + i % 8];
    }
  }
  uint32_t visits[STATES] = {0};
  uint32_t ends[STATES] = {0};
  for (const char *at = input; at < input + INPUT;) {
    ends[scan(&at, input + INPUT, visits)]++;
  }
  for (int i = 0; i < STATES; i++) {
    crc = crc16(crc, visits[i], 32);
    crc = crc16(crc, ends[i], 32);
  }
  return crc;
}

static uint64_t mix(void) {
  uint64_t sum = FOLD_START;
  uint16_t crc = 0xFFFF;
  for (int round = 0; round < 4200; round++) {
    crc = lists(crc, round);
    crc = matrices(crc, round);
    crc = matrices(crc, round + 1);
    crc = states(crc, round);
    sum = fold(sum, crc);
  }
  return sum;
}

// ---- The sieve of Eratosthenes -------------------------------------------------------------------

#define SIEVE (1 << 20)

static uint8_t composite[SIEVE];

static uint64_t sieve(void) {
  uint64_t sum = FOLD_START;
  for (int round = 0; round < 60; round++) {
    int limit = SIEVE - round;
    memset(composite, 0, sizeof composite);
    int count = 0;
    for (int i = 2; i < limit; i++) {
      if (!composite[i]) {
        count++;
        for (int64_t j = (int64_t)i * i; j < limit; j += i) {
          composite[j] = 1;
        }
      }
    }
    sum = fold(sum, (uint64_t)count);
  }
  return sum;
}

// ---- Recursion: calls and returns ----------------------------------------------------------------

// The compiler may neither unfold the recursion nor make a loop of it.
__attribute__((noipa, optimize("no-optimize-sibling-calls"))) static uint64_t fib(unsigned n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t recursion(void) { return fib(35); }

// ---- An interpreter of byte code: indirect jumps -------------------------------------------------

enum op { PUSH, LOAD, STORE, ADD, SUB, MUL, XOR, SHIFT, LESS, JUMP_IF, DUP, SWAP, DROP, HALT };

static uint64_t interpret(const uint8_t *code, int64_t *slots) {
  static const void *const targets[] = {
      &&push, &&load, &&store, &&add,     &&sub, &&mul,  &&xor,
      &&shift, &&less, &&jump_if, &&dup, &&swap, &&drop, &&halt};
  int64_t stack[32];
  int64_t *top = stack;
  const uint8_t *pc = code;
  int64_t other;
#define NEXT goto *targets[*pc++]
  NEXT;
push:
  *++top = (int8_t)*pc++;
  NEXT;
load:
  *++top = slots[*pc++];
  NEXT;
store:
  slots[*pc++] = *top--;
  NEXT;
add:
  other = *top--;
  *top += other;
  NEXT;
sub:
  other = *top--;
  *top -= other;
  NEXT;
mul:
  other = *top--;
  *top = (int64_t)((uint64_t)*top * (uint64_t)other);
  NEXT;
xor:
  other = *top--;
  *top ^= other;
  NEXT;
shift:
  *top = (int64_t)((uint64_t)*top >> 7);
  NEXT;
less:
  other = *top--;
  *top = *top < other;
  NEXT;
jump_if:
  pc += *top-- ? (int8_t)*pc : 1;
  NEXT;
dup:
  top[1] = top[0];
  top++;
  NEXT;
swap:
  other = top[0];
  top[0] = top[-1];
  top[-1] = other;
  NEXT;
drop:
  top--;
  NEXT;
halt:
  return (uint64_t)slots[1];
#undef NEXT
}

static uint64_t bytecode(void) {
  // i = 0; do { a = (a * 31 + i) ^ (a >> 7); if (i >= a) { b = b - a; } i = i + 1; } while (i < n);
  static const uint8_t code[] = {
      PUSH, 0, STORE, 0,
      LOAD, 1, PUSH, 31, MUL, LOAD, 0, ADD, LOAD, 1, SHIFT, XOR, DUP, STORE, 1,
      LOAD, 0, SWAP, LESS, JUMP_IF, 8,
      LOAD, 3, LOAD, 1, SUB, STORE, 3,
      LOAD, 0, PUSH, 1, ADD, STORE, 0,
      LOAD, 0, LOAD, 2, LESS, JUMP_IF, (uint8_t)-41,
      LOAD, 3, LOAD, 1, XOR, STORE, 1, HALT};
  uint64_t sum = FOLD_START;
  for (int round = 0; round < 4; round++) {
    int64_t slots[4] = {0, round + 1, 400000, 0};
    sum = fold(sum, interpret(code, slots));
  }
  return sum;
}

// ---- Multiplication and division -----------------------------------------------------------------

static uint64_t muldiv(void) {
  uint64_t a = UINT64_C(0x9E3779B97F4A7C15);
  uint64_t sum = FOLD_START;
  uint32_t small = 12345;
  for (uint64_t i = 1; i < 15000000; i++) {
    a = a * UINT64_C(6364136223846793005) + i;
    unsigned __int128 wide = (unsigned __int128)a * (i << 7 | 1);
    uint64_t divisor = (a >> 40) + i;
    sum += a / divisor;
    sum ^= a % (divisor >> 3 | 1);
    sum += (uint64_t)(wide >> 64);
    small = small * 1664525u + 1013904223u;
    sum += small / (uint32_t)(i | 1);
    sum += (uint64_t)((int32_t)small % (int32_t)(i >> 5 | 3));
  }
  return sum;
}

// ---- SHA-256, FIPS 180-4 -------------------------------------------------------------------------

static const uint32_t sha_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void sha_block(uint32_t hash[8], const uint8_t *block) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) {
    uint32_t word;
    memcpy(&word, block + 4 * i, 4);
    w[i] = __builtin_bswap32(word);
  }
  for (int i = 16; i < 64; i++) {
    uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3];
  uint32_t e = hash[4], f = hash[5], g = hash[6], h = hash[7];
  for (int i = 0; i < 64; i++) {
    uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + sha_constants[i] + w[i];
    uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  hash[0] += a;
  hash[1] += b;
  hash[2] += c;
  hash[3] += d;
  hash[4] += e;
  hash[5] += f;
  hash[6] += g;
  hash[7] += h;
}

static uint8_t message[1 << 16];

static void sha_prepare(void) {
  uint64_t seed = 256;
  for (size_t i = 0; i < sizeof message; i++) {
    message[i] = (uint8_t)(next_random(&seed) >> 56);
  }
}

static uint64_t sha256(void) {
  uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  for (int round = 0; round < 1000; round++) {
    for (size_t i = 0; i < sizeof message; i += 64) {
      sha_block(hash, message + i);
    }
  }
  uint64_t sum = FOLD_START;
  for (int i = 0; i < 8; i++) {
    sum = fold(sum, hash[i]);
  }
  return sum;
}

const struct row integer_rows[] = {
    {"integer", NULL, mix, NULL},
    {"sieve", NULL, sieve, NULL},
    {"fib", NULL, recursion, NULL},
    {"bytecode", NULL, bytecode, NULL},
    {"muldiv", NULL, muldiv, NULL},
    {"sha256", sha_prepare, sha256, NULL},
    {NULL, NULL, NULL, NULL}};
