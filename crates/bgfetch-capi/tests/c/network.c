/* A network stack of the host. */
#include "check.h"

static bgfetch_str header(const bgfetch_completion *it, const char *name) {
  for (size_t at = 0; at < it->header_count; at++)
    if (is(it->headers[at].name, name)) return it->headers[at].value;
  return T(NULL);
}

static void a_message_is_complete(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/film?a=b");
  message(it);
  CHECK(is(it->last.method, "GET") && is(it->last.text, "https://far.test/film?a=b"));
  CHECK(is(header(&it->last, "user-agent"), "a test") && is(header(&it->last, "x-token"), "1"));
  CHECK(!it->last.flag && it->last.engine == it->engine);
  CHECK(contains(it->last.json, "\"credentials\":true"));
  OK(bgfetch_fetch_free(fetch));
}

static void bytes_need_credit(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  FAILS(BGFETCH_ERROR_NO_CREDIT, bgfetch_network_bytes(asked, (const uint8_t *)"x", 1));
  respond(asked, 200, NULL, 0);
  await(it, BGFETCH_CREDIT, asked);
  size_t credit = 0;
  OK(bgfetch_network_credit(asked, &credit));
  CHECK(credit == it->last.number);
  uint8_t *bytes = calloc(1, credit + 1);
  FAILS(BGFETCH_ERROR_NO_CREDIT, bgfetch_network_bytes(asked, bytes, credit + 1));
  OK(bgfetch_network_bytes(asked, bytes, credit));
  free(bytes);
  OK(bgfetch_network_end(asked));
  CHECK(settled(it, fetch).downloaded == credit);
  OK(bgfetch_fetch_free(fetch));
}

static void many_bytes_arrive_in_order(host *it) {
  enum { PIECE = 100000, PIECES = 30 };
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  respond(asked, 200, NULL, 0);
  static uint8_t piece[PIECE], all[PIECE * PIECES + 1];
  for (int at = 0; at < PIECES; at++) {
    memset(piece, at, PIECE);
    send_bytes(it, asked, piece, PIECE);
  }
  OK(bgfetch_network_end(asked));
  bgfetch_handle body = only_body(it, fetch);
  CHECK(read_body(it, body, all, sizeof all) == PIECE * PIECES);
  for (size_t at = 0; at < PIECE * PIECES; at++) CHECK(all[at] == at / PIECE);
  OK(bgfetch_body_free(body));
  OK(bgfetch_fetch_free(fetch));
}

static void a_lost_connection_is_continued_by_range(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  bgfetch_header whole[] = {{T("etag"), T("\"1\"")}, {T("content-length"), T("10")}};
  respond(asked, 200, whole, 2);
  send_bytes(it, asked, "01234", 5);
  OK(bgfetch_network_fault(asked, BGFETCH_FAULT_INTERRUPTED, true, T("the line went dead")));
  asked = message(it);
  CHECK(is(header(&it->last, "range"), "bytes=5-") && is(header(&it->last, "if-range"), "\"1\""));
  bgfetch_header rest[] = {{T("etag"), T("\"1\"")}, {T("content-range"), T("bytes 5-9/10")}};
  respond(asked, 206, rest, 2);
  send_bytes(it, asked, "56789", 5);
  OK(bgfetch_network_end(asked));
  bgfetch_handle body = only_body(it, fetch);
  uint8_t buffer[20];
  CHECK(read_body(it, body, buffer, sizeof buffer) == 10 && memcmp(buffer, "0123456789", 10) == 0);
  OK(bgfetch_body_free(body));
  OK(bgfetch_fetch_free(fetch));
}

static void a_redirect_is_followed_by_the_engine(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/old");
  bgfetch_handle asked = message(it);
  bgfetch_header to[] = {{T("location"), T("/new")}};
  respond(asked, 302, to, 1);
  await(it, BGFETCH_FETCH_START, 0);
  CHECK(is(it->last.text, "https://far.test/new"));
  asked = it->last.token;
  respond(asked, 200, NULL, 0);
  OK(bgfetch_network_end(asked));
  CHECK(settled(it, fetch).result == BGFETCH_SUCCESS);
  OK(bgfetch_fetch_free(fetch));
}

static void what_is_no_longer_wanted_is_cancelled(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  OK(bgfetch_fetch_abort(fetch, next(it)));
  await(it, BGFETCH_FETCH_CANCEL, asked);
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_network_end(asked));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_network_fault(asked, BGFETCH_FAULT_TLS, true, T("")));
  OK(bgfetch_fetch_free(fetch));
}

static void a_response_has_one_head(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  FAILS(BGFETCH_ERROR_WRONG_STATE, bgfetch_network_end(asked));
  bgfetch_response_start start = BGFETCH_RESPONSE_START_INIT;
  start.status = 100;
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_head(asked, &start));
  start.status = 200;
  start.address = T("nowhere");
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_head(asked, &start));
  start.address = T("192.0.2.1");
  bgfetch_header bad[] = {{T("a b"), T("c")}};
  start.headers = bad;
  start.header_count = 1;
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_head(asked, &start));
  start.header_count = 0;
  OK(bgfetch_network_head(asked, &start));
  FAILS(BGFETCH_ERROR_WRONG_STATE, bgfetch_network_head(asked, &start));
  OK(bgfetch_network_end(asked));
  CHECK(settled(it, fetch).result == BGFETCH_SUCCESS);
  OK(bgfetch_fetch_free(fetch));
}

static void permanent_faults_are_not_tried_again(host *it) {
  const uint32_t faults[] = {BGFETCH_FAULT_BLOCKED, BGFETCH_FAULT_TLS, BGFETCH_FAULT_PROTOCOL,
                             BGFETCH_FAULT_PROXY_AUTHENTICATION};
  for (size_t at = 0; at < sizeof faults / sizeof *faults; at++) {
    bgfetch_handle fetch = download(it, "x", "https://far.test/");
    bgfetch_handle asked = message(it);
    FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_network_fault(asked, 99, true, T("")));
    OK(bgfetch_network_fault(asked, faults[at], false, T("no")));
    CHECK(settled(it, fetch).result == BGFETCH_FETCH_ERROR);
    OK(bgfetch_fetch_free(fetch));
  }
}

static void faults_that_pass_are_tried_again(host *it) {
  const uint32_t faults[] = {BGFETCH_FAULT_UNREACHABLE, BGFETCH_FAULT_INTERRUPTED};
  for (size_t at = 0; at < sizeof faults / sizeof *faults; at++) {
    bgfetch_handle fetch = download(it, "x", "https://far.test/");
    OK(bgfetch_network_fault(message(it), faults[at], false, T("not now")));
    serve(it, "x");
    CHECK(settled(it, fetch).result == BGFETCH_SUCCESS);
    OK(bgfetch_fetch_free(fetch));
  }
}

static void cookies_are_the_host_s(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  await(it, BGFETCH_COOKIES, 0);
  CHECK(!it->last.flag && is(it->last.text, "https://far.test/") && is(it->last.method, "GET"));
  OK(bgfetch_answer_cookies(it->last.token, T("a=1")));
  bgfetch_handle asked = message(it);
  CHECK(is(header(&it->last, "cookie"), "a=1"));
  bgfetch_header set[] = {{T("set-cookie"), T("a=2")}, {T("set-cookie"), T("b=3")}};
  respond(asked, 200, set, 2);
  OK(bgfetch_network_end(asked));
  await(it, BGFETCH_COOKIES, 0);
  CHECK(it->last.flag && it->last.header_count == 2 && is(it->last.headers[1].value, "b=3"));
  OK(bgfetch_answer_cookies(it->last.token, T(NULL)));
  CHECK(settled(it, fetch).result == BGFETCH_SUCCESS);
  OK(bgfetch_fetch_free(fetch));
}

#define HOST "\"network\": \"host\""
const test_case network[] = {
    {"a message is complete", HOST ", \"userAgent\": \"a test\", \"headers\": [[\"X-Token\", \"1\"]]",
     a_message_is_complete},
    {"bytes need credit", HOST, bytes_need_credit},
    {"many bytes arrive in order", HOST, many_bytes_arrive_in_order},
    {"a lost connection is continued by range", HOST, a_lost_connection_is_continued_by_range},
    {"a redirect is followed by the engine", HOST, a_redirect_is_followed_by_the_engine},
    {"what is no longer wanted is cancelled", HOST, what_is_no_longer_wanted_is_cancelled},
    {"a response has one head", HOST, a_response_has_one_head},
    {"permanent faults are not tried again", HOST, permanent_faults_are_not_tried_again},
    {"faults that pass are tried again", HOST, faults_that_pass_are_tried_again},
    {"cookies are the host's", HOST ", \"cookies\": \"ask\"", cookies_are_the_host_s},
    {0},
};
