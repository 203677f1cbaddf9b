#include "check.h"

void expect(bgfetch_error *error, uint32_t code, const char *file, int line) {
  uint32_t found = bgfetch_error_code(error);
  if (found != code) {
    bgfetch_str message = bgfetch_error_message(error);
    fprintf(stderr, "%s:%d: error %u instead of %u: %.*s\n", file, line, found, code,
            (int)message.length, message.data);
    exit(1);
  }
  bgfetch_error_free(error);
}

bool is(bgfetch_str text, const char *expected) {
  return text.length == strlen(expected) && memcmp(text.data, expected, text.length) == 0;
}

bool contains(bgfetch_str text, const char *part) {
  size_t length = strlen(part);
  for (size_t at = 0; at + length <= text.length; at++)
    if (memcmp(text.data + at, part, length) == 0) return true;
  return false;
}

void host_open(host *it, const char *options) {
  char json[1024];
  snprintf(json, sizeof json, "{ \"ephemeral\": true, \"retryDelay\": 1%s%s }", *options ? ", " : "",
           options);
  memset(it, 0, sizeof *it);
  it->last = (bgfetch_completion)BGFETCH_COMPLETION_INIT;
  OK(bgfetch_queue_open(&it->queue));
  OK(bgfetch_engine_open(it->queue, next(it), T(json)));
  answered(it, 0);
  it->engine = it->last.handle;
  it->registration = host_register(it, "https://app.test/");
  OK(bgfetch_registration_set_principal(it->registration, T("\"user\"")));
}

void host_close(host *it) {
  bgfetch_completion_clear(&it->last);
  for (size_t at = 0; at < it->seen_count; at++) bgfetch_completion_clear(&it->seen[at]);
  OK(bgfetch_queue_close(it->queue));
}

bgfetch_handle host_register(host *it, const char *scope) {
  OK(bgfetch_registration_register(it->engine, next(it), T(scope), T(scope)));
  answered(it, 0);
  return it->last.handle;
}

uint64_t next(host *it) { return ++it->token; }

static bool is_about(const bgfetch_completion *it, bgfetch_completion_kind kind, uint64_t about) {
  if (it->kind != kind) return false;
  if (about == 0) return true;
  return it->token == about || it->fetch == about || it->event == about || it->body == about ||
         it->engine == about;
}

void await(host *it, bgfetch_completion_kind kind, uint64_t about) {
  for (size_t at = 0; at < it->seen_count; at++) {
    if (!is_about(&it->seen[at], kind, about)) continue;
    bgfetch_completion_clear(&it->last);
    it->last = it->seen[at];
    it->seen_count--;
    memmove(&it->seen[at], &it->seen[at + 1], (it->seen_count - at) * sizeof *it->seen);
    return;
  }
  for (;;) {
    OK(bgfetch_queue_next(it->queue, 60000, &it->last));
    CHECK(it->last.kind != BGFETCH_NONE);
    if (is_about(&it->last, kind, about)) return;
    /* An update that is kept would not be acknowledged. */
    if (it->last.kind == BGFETCH_UPDATE || it->last.kind == BGFETCH_JOB) continue;
    CHECK(it->seen_count < sizeof it->seen / sizeof *it->seen);
    it->seen[it->seen_count++] = it->last;
    it->last = (bgfetch_completion)BGFETCH_COMPLETION_INIT;
  }
}

void answered(host *it, uint32_t code) {
  await(it, BGFETCH_CALL_DONE, it->token);
  uint32_t found = bgfetch_error_code(it->last.error);
  if (found != code) {
    bgfetch_str message = bgfetch_error_message(it->last.error);
    fprintf(stderr, "answer %u instead of %u: %.*s\n", found, code, (int)message.length,
            message.data);
    exit(1);
  }
}

bgfetch_handle download(host *it, const char *id, const char *url) {
  char call[512];
  snprintf(call, sizeof call, "{ \"id\": \"%s\", \"requests\": [\"%s\"], \"title\": \"A film\" }", id,
           url);
  OK(bgfetch_registration_fetch(it->registration, next(it), T(call)));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_FETCH && it->last.handle != 0);
  bgfetch_handle fetch = it->last.handle;
  bgfetch_completion_clear(&it->last);
  return fetch;
}

bgfetch_handle only_record(host *it, bgfetch_handle fetch) {
  OK(bgfetch_fetch_match_all(fetch, next(it), T(NULL), T(NULL), false));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_HANDLES && it->last.handle_count == 1);
  return it->last.handles[0];
}

bgfetch_handle only_body(host *it, bgfetch_handle fetch) {
  bgfetch_handle record = only_record(it, fetch);
  OK(bgfetch_record_response_ready(record, next(it)));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_RESPONSE);
  OK(bgfetch_record_free(record));
  return it->last.handle;
}

bgfetch_handle message(host *it) {
  await(it, BGFETCH_FETCH_START, 0);
  return it->last.token;
}

void respond(bgfetch_handle message, uint32_t status, const bgfetch_header *headers, size_t count) {
  bgfetch_response_start start = BGFETCH_RESPONSE_START_INIT;
  start.status = status;
  start.headers = headers;
  start.header_count = count;
  OK(bgfetch_network_head(message, &start));
}

void send_bytes(host *it, bgfetch_handle message, const void *bytes, size_t length) {
  size_t credit = 0;
  for (;;) {
    OK(bgfetch_network_credit(message, &credit));
    if (credit >= length) break;
    await(it, BGFETCH_CREDIT, message);
  }
  OK(bgfetch_network_bytes(message, bytes, length));
}

void serve(host *it, const char *text) {
  bgfetch_handle asked = message(it);
  respond(asked, 200, NULL, 0);
  send_bytes(it, asked, text, strlen(text));
  OK(bgfetch_network_end(asked));
}

size_t read_body(host *it, bgfetch_handle body, uint8_t *to, size_t limit) {
  size_t offset = 0;
  for (;;) {
    bgfetch_read read;
    OK(bgfetch_body_read(body, offset, to + offset, limit - offset, &read));
    if (read.state == BGFETCH_READ_END) return offset;
    if (read.state == BGFETCH_READ_AGAIN) await(it, BGFETCH_BODY_READY, body);
    offset += read.length;
  }
}

bgfetch_attributes settled(host *it, bgfetch_handle fetch) {
  bgfetch_attributes attributes = BGFETCH_ATTRIBUTES_INIT;
  for (;;) {
    OK(bgfetch_fetch_attributes(fetch, &attributes));
    if (attributes.result != BGFETCH_ACTIVE) return attributes;
    await(it, BGFETCH_UPDATE, fetch);
  }
}
