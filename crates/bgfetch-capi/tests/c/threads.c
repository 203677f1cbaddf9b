/* Several threads. */
#include "check.h"

#include <pthread.h>
#include <sched.h>

static void *wait_for_ever(void *queue) {
  bgfetch_completion completion = BGFETCH_COMPLETION_INIT;
  uint32_t code;
  /* The other thread may be the first one. */
  do {
    bgfetch_error *error = bgfetch_queue_next(*(bgfetch_handle *)queue, -1, &completion);
    code = bgfetch_error_code(error);
    bgfetch_error_free(error);
  } while (code == BGFETCH_ERROR_QUEUE_BUSY);
  CHECK(code == BGFETCH_ERROR_CLOSED || code == BGFETCH_ERROR_INVALID_HANDLE);
  return NULL;
}

static void one_thread_at_a_time_waits_for_a_queue(host *it) {
  (void)it;
  bgfetch_handle queue = 0;
  pthread_t thread;
  OK(bgfetch_queue_open(&queue));
  CHECK(pthread_create(&thread, NULL, wait_for_ever, &queue) == 0);
  bgfetch_completion completion = BGFETCH_COMPLETION_INIT;
  bgfetch_error *error;
  while (!(error = bgfetch_queue_next(queue, 0, &completion))) sched_yield();
  FAILS(BGFETCH_ERROR_QUEUE_BUSY, error);
  OK(bgfetch_queue_close(queue));
  CHECK(pthread_join(thread, NULL) == 0);
}

static void *ask(void *argument) {
  host *it = argument;
  for (uint64_t token = 1000; token < 1100; token++)
    OK(bgfetch_registration_get_ids(it->registration, token));
  return NULL;
}

static void every_thread_can_call(host *it) {
  pthread_t threads[4];
  for (int at = 0; at < 4; at++) CHECK(pthread_create(&threads[at], NULL, ask, it) == 0);
  for (int call = 0; call < 400; call++) {
    OK(bgfetch_queue_next(it->queue, 60000, &it->last));
    CHECK(it->last.kind == BGFETCH_CALL_DONE && it->last.error == NULL);
  }
  for (int at = 0; at < 4; at++) CHECK(pthread_join(threads[at], NULL) == 0);
}

const test_case threads[] = {
    {"one thread at a time waits for a queue", NULL, one_thread_at_a_time_waits_for_a_queue},
    {"every thread can call", "", every_thread_can_call},
    {0},
};
