/* Events and the lifetime of workers. */
#include "check.h"

static void start(host *it) {
  OK(bgfetch_registration_start(it->registration, next(it)));
  answered(it, 0);
}

/* The event of a fetch that succeeds; frees its fetch. */
static bgfetch_handle success(host *it) {
  start(it);
  OK(bgfetch_fetch_free(download(it, "x", "https://far.test/")));
  serve(it, "x");
  await(it, BGFETCH_EVENT, 0);
  CHECK(it->last.number == BGFETCH_EVENT_SUCCESS && is(it->last.text, "backgroundfetchsuccess"));
  CHECK(it->last.registration == it->registration && is(it->last.id, "x"));
  OK(bgfetch_fetch_free(it->last.fetch));
  return it->last.event;
}

static void ended(host *it, bgfetch_handle event, bool handled) {
  await(it, BGFETCH_EVENT_ENDED, event);
  CHECK(it->last.flag == handled && !bgfetch_event_is_active(event));
  OK(bgfetch_event_free(event));
}

/* The engine has ended the event, too. */
static void until_records_are_gone(host *it, bgfetch_handle fetch) {
  bgfetch_attributes now = BGFETCH_ATTRIBUTES_INIT;
  while (OK(bgfetch_fetch_attributes(fetch, &now)), now.records_available)
    await(it, BGFETCH_UPDATE, fetch);
}

static void an_event_without_extensions_ends_with_its_dispatch(host *it) {
  bgfetch_handle event = success(it);
  CHECK(bgfetch_event_is_active(event));
  OK(bgfetch_event_end_dispatch(event));
  FAILS(BGFETCH_ERROR_WRONG_STATE, bgfetch_event_end_dispatch(event));
  ended(it, event, true);
}

static void extensions_keep_an_event_active(host *it) {
  bgfetch_handle event = success(it), first = 0, second = 0;
  OK(bgfetch_event_extend(event, &first));
  OK(bgfetch_event_extend(event, &second));
  OK(bgfetch_event_end_dispatch(event));
  OK(bgfetch_extension_settle(first, T(NULL)));
  CHECK(bgfetch_event_is_active(event));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_extension_settle(first, T(NULL)));
  OK(bgfetch_extension_settle(second, T("no room")));
  await(it, BGFETCH_EVENT_ENDED, event);
  CHECK(it->last.flag && is(it->last.text, "no room"));
  FAILS(BGFETCH_ERROR_NOT_ACTIVE, bgfetch_event_extend(event, &first));
  OK(bgfetch_event_free(event));
}

static void an_abandoned_promise_fires_the_event_again(host *it) {
  bgfetch_handle event = success(it), extension = 0;
  OK(bgfetch_event_extend(event, &extension));
  OK(bgfetch_event_end_dispatch(event));
  OK(bgfetch_extension_free(extension));
  ended(it, event, false);
  await(it, BGFETCH_EVENT, 0);
  event = it->last.event;
  OK(bgfetch_fetch_free(it->last.fetch));
  OK(bgfetch_event_end_dispatch(event));
  ended(it, event, true);
}

static void a_crashed_worker_has_not_handled_its_event(host *it) {
  bgfetch_handle event = success(it);
  OK(bgfetch_event_not_handled(event, BGFETCH_CRASHED, T("out of memory")));
  ended(it, event, false);
}

static void a_terminated_worker_has_not_handled_its_event(host *it) {
  bgfetch_handle event = success(it);
  OK(bgfetch_event_worker_terminated(event, T("it hung")));
  await(it, BGFETCH_EVENT_ENDED, event);
  CHECK(!it->last.flag && contains(it->last.text, "it hung"));
  OK(bgfetch_event_free(event));
}

static void a_freed_event_counts_as_crashed(host *it) {
  bgfetch_handle event = success(it);
  OK(bgfetch_event_free(event));
  await(it, BGFETCH_EVENT_ENDED, event);
  CHECK(!it->last.flag);
}

static void an_event_that_is_too_early_waits_for_the_next_start(host *it) {
  bgfetch_handle event = success(it);
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_event_not_handled(event, 9, T(NULL)));
  OK(bgfetch_event_not_handled(event, BGFETCH_NOT_YET, T(NULL)));
  ended(it, event, false);
  start(it);
  await(it, BGFETCH_EVENT, 0);
  event = it->last.event;
  OK(bgfetch_fetch_free(it->last.fetch));
  OK(bgfetch_event_end_dispatch(event));
  ended(it, event, true);
}

static void events_are_held_until_the_start(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  serve(it, "x");
  CHECK(settled(it, fetch).result == BGFETCH_SUCCESS);
  for (size_t at = 0; at < it->seen_count; at++) CHECK(it->seen[at].kind != BGFETCH_EVENT);
  start(it);
  await(it, BGFETCH_EVENT, 0);
  bgfetch_handle event = it->last.event, same = it->last.fetch;
  bgfetch_attributes now = BGFETCH_ATTRIBUTES_INIT;
  OK(bgfetch_fetch_attributes(same, &now));
  CHECK(now.result == BGFETCH_SUCCESS && now.records_available && same != fetch);
  OK(bgfetch_record_free(only_record(it, same)));
  OK(bgfetch_event_end_dispatch(event));
  ended(it, event, true);
  until_records_are_gone(it, fetch);
  OK(bgfetch_fetch_match_all(fetch, next(it), T(NULL), T(NULL), false));
  answered(it, BGFETCH_ERROR_RECORDS_UNAVAILABLE);
  OK(bgfetch_fetch_free(same));
  OK(bgfetch_fetch_free(fetch));
}

static void a_failed_fetch_and_an_aborted_one_have_events(host *it) {
  start(it);
  OK(bgfetch_fetch_free(download(it, "fails", "https://far.test/")));
  respond(message(it), 404, NULL, 0);
  await(it, BGFETCH_EVENT, 0);
  CHECK(it->last.number == BGFETCH_EVENT_FAIL && is(it->last.text, "backgroundfetchfail"));
  OK(bgfetch_event_end_dispatch(it->last.event));
  bgfetch_handle fetch = download(it, "aborted", "https://far.test/");
  OK(bgfetch_fetch_abort(fetch, next(it)));
  await(it, BGFETCH_EVENT, 0);
  CHECK(it->last.number == BGFETCH_EVENT_ABORT);
  OK(bgfetch_event_end_dispatch(it->last.event));
  OK(bgfetch_fetch_free(fetch));
}

static void the_ui_is_updated_once(host *it) {
  bgfetch_handle event = success(it);
  OK(bgfetch_event_update_ui(event, next(it), T("{ \"title\": \"Done\" }")));
  answered(it, 0);
  OK(bgfetch_event_update_ui(event, next(it), T("{}")));
  answered(it, BGFETCH_ERROR_ALREADY_UPDATED);
  CHECK(is(bgfetch_error_exception(it->last.error), "InvalidStateError"));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_event_update_ui(event, 1, T("[")));
  OK(bgfetch_event_end_dispatch(event));
  ended(it, event, true);
  OK(bgfetch_ui_jobs(it->engine, next(it)));
  answered(it, 0);
  CHECK(contains(it->last.json, "\"title\":\"Done\""));
}

static void a_click_is_an_event_that_updates_nothing(host *it) {
  start(it);
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_attributes now = BGFETCH_ATTRIBUTES_INIT;
  OK(bgfetch_fetch_attributes(fetch, &now));
  OK(bgfetch_ui_click(it->engine, next(it), now.key));
  answered(it, 0);
  await(it, BGFETCH_EVENT, 0);
  CHECK(it->last.number == BGFETCH_EVENT_CLICK);
  bgfetch_handle event = it->last.event;
  OK(bgfetch_fetch_free(it->last.fetch));
  OK(bgfetch_event_update_ui(event, next(it), T("{ \"title\": \"x\" }")));
  answered(it, BGFETCH_ERROR_NOT_UPDATE_UI_EVENT);
  OK(bgfetch_event_end_dispatch(event));
  ended(it, event, true);
  OK(bgfetch_fetch_free(fetch));
}

static void records_can_be_held_beyond_the_event(host *it) {
  start(it);
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  bgfetch_handle asked = message(it);
  bgfetch_header tag[] = {{T("etag"), T("\"1\"")}, {T("content-length"), T("10")}};
  respond(asked, 200, tag, 2);
  send_bytes(it, asked, "01234", 5);
  bgfetch_handle body = only_body(it, fetch);
  uint8_t buffer[5];
  bgfetch_read read;
  OK(bgfetch_body_read(body, 4, buffer, 1, &read));
  if (read.state == BGFETCH_READ_AGAIN) await(it, BGFETCH_BODY_READY, body);
  OK(bgfetch_network_fault(asked, BGFETCH_FAULT_TLS, true, T("a new certificate")));
  await(it, BGFETCH_EVENT, 0);
  bgfetch_handle event = it->last.event, failed = it->last.fetch;
  OK(bgfetch_fetch_hold_records(failed, next(it), true));
  answered(it, 0);
  OK(bgfetch_event_end_dispatch(event));
  ended(it, event, true);
  until_records_are_gone(it, fetch);
  OK(bgfetch_fetch_free(download(it, "x", "https://far.test/")));
  message(it);
  bool continues = false;
  for (size_t at = 0; at < it->last.header_count; at++)
    if (is(it->last.headers[at].name, "range")) continues = is(it->last.headers[at].value, "bytes=5-");
  CHECK(continues);
  OK(bgfetch_body_free(body));
  OK(bgfetch_fetch_free(failed));
  OK(bgfetch_fetch_free(fetch));
}

#define HOST "\"network\": \"host\""
const test_case events[] = {
    {"an event without extensions ends with its dispatch", HOST,
     an_event_without_extensions_ends_with_its_dispatch},
    {"extensions keep an event active", HOST, extensions_keep_an_event_active},
    {"an abandoned promise fires the event again", HOST, an_abandoned_promise_fires_the_event_again},
    {"a crashed worker has not handled its event", HOST, a_crashed_worker_has_not_handled_its_event},
    {"a terminated worker has not handled its event", HOST,
     a_terminated_worker_has_not_handled_its_event},
    {"a freed event counts as crashed", HOST, a_freed_event_counts_as_crashed},
    {"an event that is too early waits for the next start", HOST,
     an_event_that_is_too_early_waits_for_the_next_start},
    {"events are held until the start", HOST, events_are_held_until_the_start},
    {"a failed fetch and an aborted one have events", HOST,
     a_failed_fetch_and_an_aborted_one_have_events},
    {"the UI is updated once", HOST, the_ui_is_updated_once},
    {"a click is an event that updates nothing", HOST, a_click_is_an_event_that_updates_nothing},
    {"records can be held beyond the event", HOST, records_can_be_held_beyond_the_event},
    {0},
};
