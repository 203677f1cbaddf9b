/* Records, bodies, sources and streams. */
#include "check.h"

#include <unistd.h>

static void a_body_is_read_while_it_arrives(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  respond(asked, 200, NULL, 0);
  send_bytes(it, asked, "01234", 5);
  bgfetch_handle body = only_body(it, fetch);
  uint8_t buffer[100];
  bgfetch_read read;
  size_t offset = 0;
  while (offset < 5) {
    OK(bgfetch_body_read(body, offset, buffer + offset, sizeof buffer - offset, &read));
    if (read.state == BGFETCH_READ_AGAIN) await(it, BGFETCH_BODY_READY, body);
    offset += read.length;
  }
  OK(bgfetch_body_read(body, 5, buffer, sizeof buffer, &read));
  CHECK(read.state == BGFETCH_READ_AGAIN && read.length == 0);
  uint64_t length = 0;
  OK(bgfetch_body_length(body, &length));
  CHECK(length == UINT64_MAX);
  send_bytes(it, asked, "56789", 5);
  OK(bgfetch_network_end(asked));
  CHECK(read_body(it, body, buffer, sizeof buffer) == 10 && memcmp(buffer, "0123456789", 10) == 0);
  OK(bgfetch_body_length(body, &length));
  CHECK(length == 10);
  OK(bgfetch_body_read(body, 1000, buffer, sizeof buffer, &read));
  CHECK(read.state == BGFETCH_READ_END);
  OK(bgfetch_body_free(body));
  OK(bgfetch_fetch_free(fetch));
}

static void bytes_can_be_read_on_another_thread(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  serve(it, "0123456789");
  bgfetch_handle body = only_body(it, fetch);
  OK(bgfetch_body_read_later(body, next(it), 3, 4));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_BYTES && it->last.data_length <= 4);
  CHECK(memcmp(it->last.data, "3456", it->last.data_length) == 0);
  OK(bgfetch_body_read_later(body, next(it), 10, 4));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_BYTES && it->last.data_length == 0);
  OK(bgfetch_body_free(body));
  OK(bgfetch_fetch_free(fetch));
}

static void a_body_that_was_aborted_fails(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  respond(asked, 200, NULL, 0);
  send_bytes(it, asked, "01234", 5);
  bgfetch_handle body = only_body(it, fetch);
  OK(bgfetch_fetch_abort(fetch, next(it)));
  answered(it, 0);
  uint8_t buffer[10];
  bgfetch_read read;
  bgfetch_error *error;
  size_t offset = 0;
  while (!(error = bgfetch_body_read(body, offset, buffer, sizeof buffer, &read))) {
    CHECK(read.state != BGFETCH_READ_END);
    if (read.state == BGFETCH_READ_AGAIN) await(it, BGFETCH_BODY_READY, body);
    offset += read.length;
  }
  CHECK(is(bgfetch_error_exception(error), "AbortError"));
  FAILS(BGFETCH_ERROR_ABORTED, error);
  OK(bgfetch_body_free(body));
  OK(bgfetch_fetch_free(fetch));
}

static void a_body_outlives_its_fetch(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  serve(it, "0123456789");
  bgfetch_handle body = only_body(it, fetch);
  settled(it, fetch);
  OK(bgfetch_fetch_free(fetch));
  uint8_t buffer[20];
  CHECK(read_body(it, body, buffer, sizeof buffer) == 10);
  OK(bgfetch_body_free(body));
}

static void a_response_has_its_head(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  bgfetch_header headers[] = {{T("Content-Type"), T("video/mp4")}, {T("X-Name"), T("\xe4")}};
  respond(asked, 200, headers, 2);
  OK(bgfetch_network_end(asked));
  bgfetch_handle record = only_record(it, fetch);
  OK(bgfetch_record_response_ready(record, next(it)));
  answered(it, 0);
  CHECK(it->last.number == 200 && is(it->last.text, "https://far.test/"));
  bool found = false;
  for (size_t at = 0; at < it->last.header_count; at++)
    if (is(it->last.headers[at].name, "x-name")) found = is(it->last.headers[at].value, "\xe4");
  CHECK(found && contains(it->last.json, "\"status\":200"));
  OK(bgfetch_body_free(it->last.handle));
  OK(bgfetch_record_free(record));
  OK(bgfetch_fetch_free(fetch));
}

static void a_record_has_its_request(host *it) {
  OK(bgfetch_registration_fetch(it->registration, next(it),
      T("{ \"id\": \"film\", \"requests\": [{ \"url\": \"https://far.test/a\","
        " \"method\": \"POST\", \"headers\": [[\"X-Name\", \"\u00e4\"]] }] }")));
  answered(it, 0);
  CHECK(is(it->last.id, "film"));
  bgfetch_handle fetch = it->last.handle, record = only_record(it, fetch);
  OK(bgfetch_record_request(record, next(it)));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_REQUEST && is(it->last.method, "POST"));
  CHECK(strcmp(it->last.text.data, "https://far.test/a") == 0 && it->last.header_count == 1);
  CHECK(is(it->last.headers[0].name, "X-Name") && is(it->last.headers[0].value, "\xe4"));
  CHECK(contains(it->last.json, "\"credentials\":\"same-origin\""));
  OK(bgfetch_record_free(record));
  OK(bgfetch_fetch_free(fetch));
}

static void a_record_says_how_it_ended(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle record = only_record(it, fetch);
  bgfetch_record_info info = BGFETCH_RECORD_INFO_INIT;
  OK(bgfetch_record_get_info(record, &info));
  CHECK(info.index == 0 && info.status == 0 && info.result == BGFETCH_ACTIVE);
  respond(message(it), 404, NULL, 0);
  CHECK(settled(it, fetch).result == BGFETCH_BAD_STATUS);
  OK(bgfetch_record_get_info(record, &info));
  CHECK(info.result == BGFETCH_BAD_STATUS);
  OK(bgfetch_record_free(record));
  OK(bgfetch_fetch_free(fetch));
}

static void a_record_that_fails_has_no_response(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle record = only_record(it, fetch);
  OK(bgfetch_record_response_ready(record, next(it)));
  OK(bgfetch_network_fault(message(it), BGFETCH_FAULT_TLS, false, T("not trusted")));
  answered(it, BGFETCH_ERROR_RECORD_FAILED);
  CHECK(is(bgfetch_error_exception(it->last.error), "TypeError"));
  CHECK(settled(it, fetch).result == BGFETCH_FETCH_ERROR);
  OK(bgfetch_record_free(record));
  OK(bgfetch_fetch_free(fetch));
}

static void records_are_matched_by_their_requests(host *it) {
  OK(bgfetch_registration_fetch(it->registration, next(it),
      T("{ \"id\": \"x\", \"requests\": [\"https://far.test/a?1\", \"https://far.test/b\"] }")));
  answered(it, 0);
  bgfetch_handle fetch = it->last.handle;
  bgfetch_completion_clear(&it->last);
  const struct { const char *query, *options; bool first; size_t count; } asked[] = {
      {NULL, NULL, false, 2}, {NULL, NULL, true, 1}, {"\"https://far.test/b\"", NULL, false, 1},
      {"\"https://far.test/a\"", NULL, false, 0},
      {"\"https://far.test/a\"", "{ \"ignoreSearch\": true }", false, 1},
      {"{ \"url\": \"https://far.test/b\", \"method\": \"POST\" }", "{ \"ignoreMethod\": true }", true, 1},
  };
  for (size_t at = 0; at < sizeof asked / sizeof *asked; at++) {
    OK(bgfetch_fetch_match_all(fetch, next(it), T(asked[at].query), T(asked[at].options),
                               asked[at].first));
    answered(it, 0);
    CHECK(it->last.handle_count == asked[at].count);
    for (size_t record = 0; record < it->last.handle_count; record++)
      OK(bgfetch_record_free(it->last.handles[record]));
  }
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_fetch_match_all(fetch, 1, T(NULL), T("{ \"x\": 1 }"), false));
  OK(bgfetch_fetch_free(fetch));
}

static void a_finished_body_becomes_a_file_once(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle record = only_record(it, fetch);
  char folder[] = "/tmp/bgfetch-capi-XXXXXX", path[64];
  CHECK(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/film", folder);
  OK(bgfetch_record_export(record, next(it), T(path), BGFETCH_LINK));
  answered(it, BGFETCH_ERROR_RECORD_FAILED);
  serve(it, "0123456789");
  settled(it, fetch);
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_record_export(record, 1, T(path), 7));
  OK(bgfetch_record_export(record, next(it), T(path), BGFETCH_COPY));
  answered(it, 0);
  OK(bgfetch_record_is_exported_at(record, next(it), T(path)));
  answered(it, 0);
  CHECK(it->last.flag);
  OK(bgfetch_record_export(record, next(it), T(path), BGFETCH_LINK));
  answered(it, BGFETCH_ERROR_STORE_IO);
  OK(bgfetch_fetch_sync_exports(fetch, next(it)));
  answered(it, 0);
  FILE *file = fopen(path, "r");
  char text[20] = "";
  CHECK(file && fgets(text, sizeof text, file) && strcmp(text, "0123456789") == 0);
  fclose(file);
  unlink(path);
  rmdir(folder);
  OK(bgfetch_record_free(record));
  OK(bgfetch_fetch_free(fetch));
}

static void a_body_from_the_host_is_uploaded(host *it) {
  bgfetch_handle source = 0;
  OK(bgfetch_source_new(it->queue, &source));
  FAILS(BGFETCH_ERROR_NO_CREDIT, bgfetch_source_write(source, (const uint8_t *)"x", 1));
  char call[256];
  snprintf(call, sizeof call,
           "{ \"id\": \"x\", \"requests\": [{ \"url\": \"https://far.test/\", \"method\": \"POST\","
           " \"body\": %llu }] }", (unsigned long long)source);
  OK(bgfetch_registration_fetch(it->registration, next(it), T(call)));
  uint64_t token = it->token;
  await(it, BGFETCH_CREDIT, source);
  size_t credit = 0;
  OK(bgfetch_source_credit(source, &credit));
  CHECK(credit == it->last.number && credit >= 1000);
  OK(bgfetch_source_write(source, (const uint8_t *)"pho", 3));
  OK(bgfetch_source_write(source, (const uint8_t *)"to", 2));
  OK(bgfetch_source_end(source, T(NULL)));
  FAILS(BGFETCH_ERROR_WRONG_STATE, bgfetch_source_end(source, T(NULL)));
  OK(bgfetch_source_free(source));
  await(it, BGFETCH_CALL_DONE, token);
  CHECK(it->last.error == NULL);
  bgfetch_handle fetch = it->last.handle;
  bgfetch_attributes now = BGFETCH_ATTRIBUTES_INIT;
  OK(bgfetch_fetch_attributes(fetch, &now));
  CHECK(now.upload_total == 5);
  bgfetch_handle asked = message(it), body = 0;
  CHECK(it->last.flag && it->last.number == 5 && is(it->last.method, "POST"));
  OK(bgfetch_network_body(asked, &body));
  CHECK(body != 0);
  char sent[8] = "";
  size_t length = 0;
  for (;;) {
    OK(bgfetch_stream_read(body, next(it)));
    answered(it, 0);
    if (it->last.data_length == 0) break;
    memcpy(sent + length, it->last.data, it->last.data_length);
    length += it->last.data_length;
  }
  CHECK(strcmp(sent, "photo") == 0);
  OK(bgfetch_stream_free(body));
  respond(asked, 200, NULL, 0);
  OK(bgfetch_network_end(asked));
  CHECK(settled(it, fetch).uploaded == 5);
  bgfetch_handle record = only_record(it, fetch);
  OK(bgfetch_record_request_body(record, &body));
  CHECK(body != 0);
  OK(bgfetch_stream_free(body));
  OK(bgfetch_record_free(record));
  OK(bgfetch_fetch_free(fetch));
}

static void a_body_that_is_given_up_fails_the_call(host *it) {
  for (int freed = 0; freed < 2; freed++) {
    bgfetch_handle source = 0;
    OK(bgfetch_source_new(it->queue, &source));
    char call[256];
    snprintf(call, sizeof call,
             "{ \"id\": \"x\", \"requests\": [{ \"url\": \"https://far.test/\", \"method\": \"PUT\","
             " \"body\": %llu }] }", (unsigned long long)source);
    OK(bgfetch_registration_fetch(it->registration, next(it), T(call)));
    if (freed) OK(bgfetch_source_free(source));
    else OK(bgfetch_source_end(source, T("the camera is gone")));
    answered(it, BGFETCH_ERROR_BODY_UNREADABLE);
    if (!freed) OK(bgfetch_source_free(source));
  }
}

static void a_request_without_a_body_has_no_stream(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle record = only_record(it, fetch), stream = 7;
  OK(bgfetch_record_request_body(record, &stream));
  CHECK(stream == 0);
  OK(bgfetch_network_body(message(it), &stream));
  CHECK(stream == 0);
  OK(bgfetch_record_free(record));
  OK(bgfetch_fetch_free(fetch));
}

#define HOST "\"network\": \"host\""
const test_case bodies[] = {
    {"a body is read while it arrives", HOST, a_body_is_read_while_it_arrives},
    {"bytes can be read on another thread", HOST, bytes_can_be_read_on_another_thread},
    {"a body that was aborted fails", HOST, a_body_that_was_aborted_fails},
    {"a body outlives its fetch", HOST, a_body_outlives_its_fetch},
    {"a response has its head", HOST, a_response_has_its_head},
    {"a record has its request", HOST, a_record_has_its_request},
    {"a record says how it ended", HOST, a_record_says_how_it_ended},
    {"a record that fails has no response", HOST, a_record_that_fails_has_no_response},
    {"records are matched by their requests", HOST, records_are_matched_by_their_requests},
    {"a finished body becomes a file once", HOST, a_finished_body_becomes_a_file_once},
    {"a body from the host is uploaded", HOST, a_body_from_the_host_is_uploaded},
    {"a body that is given up fails the call", HOST, a_body_that_is_given_up_fails_the_call},
    {"a request without a body has no stream", HOST, a_request_without_a_body_has_no_stream},
    {0},
};
