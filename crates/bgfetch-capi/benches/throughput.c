/*
 * Downloads a file, reads it with bgfetch_body_read while it arrives, and prints how many seconds that took.
 * Usage: throughput STATE URL
 */
#include <bgfetch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bgfetch_handle queue;
static bgfetch_completion last = BGFETCH_COMPLETION_INIT;

static void check(const bgfetch_error *error) {
  if (error == NULL) return;
  bgfetch_str message = bgfetch_error_message(error);
  fprintf(stderr, "%.*s\n", (int)message.length, message.data);
  exit(1);
}

/* Waits for the answer to the call, and returns its object. */
static bgfetch_handle answer(uint64_t token) {
  do check(bgfetch_queue_next(queue, -1, &last));
  while (last.kind != BGFETCH_CALL_DONE || last.token != token);
  check(last.error);
  bgfetch_handle handle = last.value == BGFETCH_VALUE_HANDLES ? last.handles[0] : last.handle;
  bgfetch_completion_clear(&last);
  return handle;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  static char json[8192];
  static uint8_t buffer[256 << 10];
  check(bgfetch_queue_open(&queue));
  snprintf(json, sizeof json, "{ \"directory\": \"%s\" }", arguments[1]);
  check(bgfetch_engine_open(queue, 1, bgfetch_text(json)));
  bgfetch_handle engine = answer(1);
  bgfetch_str url = bgfetch_text(arguments[2]), all = bgfetch_text(NULL);
  check(bgfetch_registration_register(engine, 2, bgfetch_text("site"), url));
  bgfetch_handle registration = answer(2);

  double start = now();
  snprintf(json, sizeof json, "{ \"id\": \"file\", \"requests\": [\"%s\"] }", arguments[2]);
  check(bgfetch_registration_fetch(registration, 3, bgfetch_text(json)));
  bgfetch_handle fetch = answer(3);
  check(bgfetch_fetch_match_all(fetch, 4, all, all, true));
  bgfetch_handle record = answer(4);
  check(bgfetch_record_response_ready(record, 5));
  bgfetch_handle body = answer(5);
  uint64_t offset = 0;
  for (;;) {
    bgfetch_read read;
    check(bgfetch_body_read(body, offset, buffer, sizeof buffer, &read));
    if (read.state == BGFETCH_READ_END) break;
    offset += read.length;
    if (read.state == BGFETCH_READ_READY) continue;
    do check(bgfetch_queue_next(queue, -1, &last));
    while (last.kind != BGFETCH_BODY_READY);
  }
  double seconds = now() - start;
  if (offset != (uint64_t)1 << 30) fprintf(stderr, "%" PRIu64 " bytes\n", offset);

  check(bgfetch_engine_close(engine, 6));
  answer(6);
  check(bgfetch_queue_close(queue));
  printf("%.3f\n", seconds);
  return 0;
}
