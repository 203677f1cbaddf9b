/* What the cases share: a host with one queue, and checks that end the program. */
#ifndef CHECK_H
#define CHECK_H

#include <bgfetch.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)

/* A call that must succeed, and one that must fail with this number. */
#define OK(call) expect(call, 0, __FILE__, __LINE__)
#define FAILS(code, call) expect(call, code, __FILE__, __LINE__)
#define T(text) bgfetch_text(text)

typedef struct host {
  bgfetch_handle queue, engine, registration;
  uint64_t token;
  /* The completion that was waited for last. */
  bgfetch_completion last;
  /* Those that came meanwhile. */
  bgfetch_completion seen[256];
  size_t seen_count;
} host;

typedef void run_case(host *);

typedef struct test_case {
  const char *name;
  /* Further options of the engine, or NULL for a case that needs no host. */
  const char *options;
  run_case *run;
} test_case;

extern const test_case calls[], bodies[], events[], network[], misuse[], threads[];

void expect(bgfetch_error *error, uint32_t code, const char *file, int line);
bool is(bgfetch_str text, const char *expected);
bool contains(bgfetch_str text, const char *part);

/* Opens a host with these options in JSON; closes it. */
void host_open(host *it, const char *options);
void host_close(host *it);
bgfetch_handle host_register(host *it, const char *scope);

/* The next completion of a kind, and then `last` is it; `about` is what it has to be about, or 0. */
void await(host *it, bgfetch_completion_kind kind, uint64_t about);
/* The answer to the call that was begun last with `next`, which must have this error or 0. */
void answered(host *it, uint32_t code);
uint64_t next(host *it);

/* Fetches one URL; the records of a fetch; the body of its only record. */
bgfetch_handle download(host *it, const char *id, const char *url);
bgfetch_handle only_record(host *it, bgfetch_handle fetch);
bgfetch_handle only_body(host *it, bgfetch_handle fetch);

/* With a network of the host: the next message, its response, and all bytes of a body. */
bgfetch_handle message(host *it);
void respond(bgfetch_handle message, uint32_t status, const bgfetch_header *headers, size_t count);
void send_bytes(host *it, bgfetch_handle message, const void *bytes, size_t length);
void serve(host *it, const char *text);
size_t read_body(host *it, bgfetch_handle body, uint8_t *to, size_t limit);

/* Waits until a fetch has ended, and returns its attributes. */
bgfetch_attributes settled(host *it, bgfetch_handle fetch);

#endif
