/* What a host must not do is an error and does nothing. */
#include "check.h"

#include <poll.h>

static void null_is_an_error_where_there_must_be_something(host *it) {
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_queue_open(NULL));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_queue_next(it->queue, 0, NULL));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_source_new(it->queue, NULL));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT,
        bgfetch_registration_open(it->engine, T("x"), T("https://app.test/"), NULL));
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_fetch_attributes(fetch, NULL));
  bgfetch_handle record = only_record(it, fetch);
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_record_get_info(record, NULL));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_record_request_body(record, NULL));
  bgfetch_handle asked = message(it);
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_head(asked, NULL));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_credit(asked, NULL));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_body(asked, NULL));
  respond(asked, 200, NULL, 0);
  bgfetch_handle body = only_body(it, fetch);
  uint8_t byte;
  bgfetch_read read;
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_body_read(body, 0, NULL, 1, &read));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_body_read(body, 0, &byte, 1, NULL));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_body_read(body, 0, &byte, 0, &read));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_body_length(body, NULL));
  OK(bgfetch_network_bytes(asked, NULL, 0));
}

static void zero_and_null_can_be_freed(host *it) {
  (void)it;
  OK(bgfetch_engine_free(0));
  OK(bgfetch_registration_free(0));
  OK(bgfetch_fetch_free(0));
  OK(bgfetch_record_free(0));
  OK(bgfetch_body_free(0));
  OK(bgfetch_stream_free(0));
  OK(bgfetch_source_free(0));
  OK(bgfetch_event_free(0));
  OK(bgfetch_extension_free(0));
  bgfetch_error_free(NULL);
  bgfetch_completion_clear(NULL);
  CHECK(bgfetch_error_code(NULL) == 0 && bgfetch_error_message(NULL).length == 0);
}

static void a_handle_of_another_kind_is_an_error(host *it) {
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_engine_close(it->registration, 1));
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_registration_start(it->queue, 1));
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_fetch_abort(it->engine, 1));
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_event_end_dispatch(it->engine));
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_answer_quota(it->engine, 1));
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_network_end(it->engine));
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_body_free(it->engine));
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_queue_close(it->engine));
  CHECK(bgfetch_queue_fd(it->engine) == -1 && !bgfetch_event_is_active(it->engine));
}

static void a_freed_handle_never_names_another_object(host *it) {
  bgfetch_handle freed = it->registration;
  OK(bgfetch_registration_free(freed));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_registration_free(freed));
  for (int at = 0; at < 10; at++) {
    bgfetch_handle other = 0;
    OK(bgfetch_registration_open(it->engine, T("x"), T("https://app.test/"), &other));
    CHECK(other != freed);
    FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_registration_start(freed, 1));
    OK(bgfetch_registration_free(other));
  }
}

static void numbers_that_are_no_handles_are_errors(host *it) {
  const bgfetch_handle numbers[] = {1, 77, UINT64_MAX, it->engine + 16, it->engine ^ (1ull << 40)};
  for (size_t at = 0; at < sizeof numbers / sizeof *numbers; at++) {
    bgfetch_error *error = bgfetch_engine_close(numbers[at], 1);
    CHECK(error != NULL);
    bgfetch_error_free(error);
  }
}

static void a_struct_of_a_wrong_size_is_an_error(host *it) {
  bgfetch_completion completion = BGFETCH_COMPLETION_INIT;
  completion.size--;
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_queue_next(it->queue, 0, &completion));
  bgfetch_completion_clear(&completion);
  completion.size = 0;
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_queue_next(it->queue, 0, &completion));
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_attributes attributes = {.size = 4};
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_fetch_attributes(fetch, &attributes));
  bgfetch_response_start start = {.size = sizeof start + 8};
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_head(message(it), &start));
}

static void a_completion_can_be_cleared_twice(host *it) {
  OK(bgfetch_registration_get_ids(it->registration, next(it)));
  answered(it, 0);
  bgfetch_completion_clear(&it->last);
  bgfetch_completion_clear(&it->last);
  CHECK(it->last.kind == BGFETCH_NONE && it->last.json.data == NULL);
}

static void a_text_that_is_not_utf_8_is_an_error(host *it) {
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_registration_get(it->registration, 1, T("\xff")));
}

static void a_closed_queue_is_gone_with_all_its_handles(host *it) {
  bgfetch_handle queue = 0;
  bgfetch_completion completion = BGFETCH_COMPLETION_INIT;
  OK(bgfetch_queue_open(&queue));
  CHECK(bgfetch_queue_handles(queue) == 1);
  OK(bgfetch_engine_open(queue, 1, T("{ \"ephemeral\": true }")));
  OK(bgfetch_queue_next(queue, -1, &completion));
  bgfetch_handle engine = completion.handle;
  OK(bgfetch_queue_close(queue));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_queue_close(queue));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_queue_next(queue, 0, &completion));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_engine_close(engine, 1));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_engine_open(queue, 1, T("{ \"ephemeral\": true }")));
  CHECK(bgfetch_queue_handles(queue) == 0 && bgfetch_queue_fd(queue) == -1);
  (void)it;
}

static void what_was_not_read_goes_with_the_queue(host *it) {
  bgfetch_handle queue = 0;
  OK(bgfetch_queue_open(&queue));
  OK(bgfetch_engine_open(queue, 1, T("{ \"ephemeral\": true }")));
  OK(bgfetch_queue_close(queue));
  (void)it;
}

static void the_descriptor_can_be_read_while_there_are_completions(host *it) {
  struct pollfd fd = {.fd = bgfetch_queue_fd(it->queue), .events = POLLIN};
  CHECK(fd.fd >= 0 && poll(&fd, 1, 0) == 0);
  for (int call = 0; call < 3; call++) OK(bgfetch_registration_get_ids(it->registration, next(it)));
  for (int call = 0; call < 3; call++) {
    CHECK(poll(&fd, 1, 60000) == 1);
    OK(bgfetch_queue_next(it->queue, 0, &it->last));
    CHECK(it->last.kind == BGFETCH_CALL_DONE);
  }
  CHECK(poll(&fd, 1, 0) == 0);
  OK(bgfetch_queue_next(it->queue, 0, &it->last));
  CHECK(it->last.kind == BGFETCH_NONE);
}

static void an_answer_of_another_engine_s_fetch_finds_nothing(host *it) {
  FAILS(BGFETCH_ERROR_WRONG_KIND, bgfetch_network_bytes(it->queue, (const uint8_t *)"x", 1));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_source_write(0, (const uint8_t *)"x", 1));
}

#define HOST "\"network\": \"host\""
const test_case misuse[] = {
    {"NULL is an error where there must be something", HOST,
     null_is_an_error_where_there_must_be_something},
    {"0 and NULL can be freed", NULL, zero_and_null_can_be_freed},
    {"a handle of another kind is an error", "", a_handle_of_another_kind_is_an_error},
    {"a freed handle never names another object", "", a_freed_handle_never_names_another_object},
    {"numbers that are no handles are errors", "", numbers_that_are_no_handles_are_errors},
    {"a struct of a wrong size is an error", HOST, a_struct_of_a_wrong_size_is_an_error},
    {"a completion can be cleared twice", "", a_completion_can_be_cleared_twice},
    {"a text that is not UTF-8 is an error", "", a_text_that_is_not_utf_8_is_an_error},
    {"a closed queue is gone with all its handles", NULL, a_closed_queue_is_gone_with_all_its_handles},
    {"what was not read goes with the queue", NULL, what_was_not_read_goes_with_the_queue},
    {"the descriptor can be read while there are completions", "",
     the_descriptor_can_be_read_while_there_are_completions},
    {"bytes for nobody are refused", "", an_answer_of_another_engine_s_fetch_finds_nothing},
    {0},
};
