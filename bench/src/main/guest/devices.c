// What is asked of virtual machines of several kinds: their disk, their network card, and processes
// without a program of their own. The disk is the first that is there, of 64 MiB
// that the host has filled; its requests pass the kernel's cache by. At the other end of the network
// is 10.0.2.2, at the port that bench_port= on the kernel's command line names: it takes one letter,
// then takes in (s), sends (r) or sends back (e) what comes, each until the connection ends.
#define _GNU_SOURCE
#include "rows.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_BYTES (UINT64_C(64) << 20)
#define SMALL 4096u
#define LARGE (1u << 20)
#define RANDOM_REQUESTS 4000u
#define SEQUENTIAL_REQUESTS 1024u
#define STREAM_REQUESTS 4096u
#define STREAM_BYTES 65536u
#define ROUND_TRIPS 2000u
#define FORKS 400u

static int disk = -1;
static int connection = -1;
static uint8_t *buffer;

// ---- Disk ----------------------------------------------------------------------------------------

static void disk_prepare(void) {
  static const char *const names[] = {"/dev/xvda", "/dev/vda", "/dev/sda"};
  for (size_t i = 0; i < sizeof names / sizeof *names && disk < 0; i++) {
    disk = open(names[i], O_RDWR | O_DIRECT | O_CLOEXEC);
  }
  if (disk < 0) {
    fail("no disk is there");
  }
  buffer = pages(LARGE);
}

// A request of a size at a place; returns what was read of each page, folded.
static uint64_t request(int writes, uint64_t at, uint32_t bytes, uint64_t sum) {
  if (writes) {
    for (uint32_t i = 0; i < bytes; i += SMALL) {
      memcpy(buffer + i, &at, sizeof at);
    }
  }
  ssize_t done = writes ? pwrite(disk, buffer, bytes, (off_t)at)
                        : pread(disk, buffer, bytes, (off_t)at);
  if (done != (ssize_t)bytes) {
    fail(writes ? "a write to the disk" : "a read of the disk");
  }
  for (uint32_t i = 0; i < bytes; i += SMALL) {
    uint64_t word;
    memcpy(&word, buffer + i, sizeof word);
    sum = fold(sum, word);
  }
  return sum;
}

static uint64_t random_requests(int writes) {
  uint64_t sum = FOLD_START;
  uint64_t seed = 11;
  for (uint32_t i = 0; i < RANDOM_REQUESTS; i++) {
    sum = request(writes, next_random(&seed) % (DISK_BYTES / SMALL) * SMALL, SMALL, sum);
  }
  return sum;
}

static uint64_t sequential_requests(int writes) {
  uint64_t sum = FOLD_START;
  for (uint32_t i = 0; i < SEQUENTIAL_REQUESTS; i++) {
    sum = request(writes, (uint64_t)i * LARGE % DISK_BYTES, LARGE, sum);
  }
  return sum;
}

static uint64_t random_read(void) { return random_requests(0); }
static uint64_t random_write(void) { return random_requests(1); }
static uint64_t sequential_read(void) { return sequential_requests(0); }
static uint64_t sequential_write(void) { return sequential_requests(1); }

// ---- Network -------------------------------------------------------------------------------------

static void connect_for(char what) {
  const char *port = getenv("bench_port");
  if (!port) {
    fail("bench_port= is not on the kernel's command line");
  }
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  inet_pton(AF_INET, "10.0.2.2", &peer.sin_addr);
  buffer = pages(STREAM_BYTES);
  // The address may still be on its way.
  for (int tries = 0; tries < 60; tries++) {
    connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection >= 0 && !connect(connection, (struct sockaddr *)&peer, sizeof peer)) {
      int one = 1;
      setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      if (write(connection, &what, 1) != 1) {
        fail("the first byte of a connection");
      }
      return;
    }
    close(connection);
    sleep(1);
  }
  fail("no connection to 10.0.2.2");
}

static void send_prepare(void) { connect_for('s'); }
static void receive_prepare(void) { connect_for('r'); }
static void echo_prepare(void) { connect_for('e'); }

static void read_all(uint32_t bytes) {
  for (uint32_t got = 0; got < bytes;) {
    ssize_t n = read(connection, buffer + got, bytes - got);
    if (n <= 0) {
      fail("a read of the connection");
    }
    got += (uint32_t)n;
  }
}

// The other end says how much has arrived, when all has.
static uint64_t send_all(void) {
  for (uint32_t i = 0; i < STREAM_REQUESTS; i++) {
    for (uint32_t sent = 0; sent < STREAM_BYTES;) {
      ssize_t n = write(connection, buffer + sent, STREAM_BYTES - sent);
      if (n <= 0) {
        fail("a write to the connection");
      }
      sent += (uint32_t)n;
    }
  }
  shutdown(connection, SHUT_WR);
  uint64_t arrived;
  read_all(sizeof arrived);
  memcpy(&arrived, buffer, sizeof arrived);
  return fold(FOLD_START, arrived);
}

static uint64_t receive_all(void) {
  uint64_t sum = FOLD_START;
  for (uint32_t i = 0; i < STREAM_REQUESTS; i++) {
    read_all(STREAM_BYTES);
    sum = fold(sum, buffer[i]);
  }
  return sum;
}

static uint64_t round_trips(void) {
  uint64_t sum = FOLD_START;
  for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
    uint8_t ball = (uint8_t)(i * 7);
    if (write(connection, &ball, 1) != 1) {
      fail("a write to the connection");
    }
    read_all(1);
    sum = fold(sum, buffer[0]);
  }
  return sum;
}

// ---- Processes -----------------------------------------------------------------------------------

static uint64_t forks(void) {
  uint64_t sum = FOLD_START;
  for (uint32_t i = 0; i < FORKS; i++) {
    pid_t child = fork();
    if (child < 0) {
      fail("fork");
    }
    if (child == 0) {
      _exit((int)(i % 10));
    }
    int status = -1;
    waitpid(child, &status, 0);
    sum = fold(sum, (uint64_t)WEXITSTATUS(status));
  }
  return sum;
}

const struct row device_rows[] = {
    {"disk-read-4k", disk_prepare, random_read, NULL, RANDOM_REQUESTS},
    {"disk-read-1m", disk_prepare, sequential_read, NULL, SEQUENTIAL_REQUESTS},
    {"disk-write-4k", disk_prepare, random_write, NULL, RANDOM_REQUESTS},
    {"disk-write-1m", disk_prepare, sequential_write, NULL, SEQUENTIAL_REQUESTS},
    {"net-send", send_prepare, send_all, NULL, STREAM_REQUESTS},
    {"net-receive", receive_prepare, receive_all, NULL, STREAM_REQUESTS},
    {"net-round-trip", echo_prepare, round_trips, NULL, ROUND_TRIPS},
    {"fork", NULL, forks, NULL, FORKS},
    {NULL, NULL, NULL, NULL, 0}};
