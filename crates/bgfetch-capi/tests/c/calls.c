/* Engines, registrations, calls of fetch(), and what the user sees. */
#include "check.h"

static void fetch_fails(host *it, uint32_t code, const char *call) {
  OK(bgfetch_registration_fetch(it->registration, next(it), T(call)));
  answered(it, code);
}

static void the_version_is_that_of_the_header(host *it) {
  (void)it;
  CHECK(is(bgfetch_version(), BGFETCH_VERSION));
}

static void a_fetch_has_its_attributes(host *it) {
  bgfetch_handle fetch = download(it, "film", "https://far.test/film");
  serve(it, "0123456789");
  bgfetch_attributes now = settled(it, fetch);
  CHECK(now.result == BGFETCH_SUCCESS && now.downloaded == 10 && now.download_total == 0);
  CHECK(now.upload_total == 0 && now.uploaded == 0 && now.records_available);
  OK(bgfetch_fetch_free(fetch));
}

static void an_empty_id_is_refused(host *it) {
  fetch_fails(it, BGFETCH_ERROR_EMPTY_ID, "{ \"id\": \"\", \"requests\": [\"https://a.test/\"] }");
  CHECK(is(bgfetch_error_exception(it->last.error), "TypeError"));
  CHECK(is(bgfetch_error_name(it->last.error), "empty-id"));
}

static void a_call_needs_requests(host *it) {
  fetch_fails(it, BGFETCH_ERROR_NO_REQUESTS, "{ \"id\": \"x\", \"requests\": [] }");
}

static void a_blocked_port_is_refused(host *it) {
  fetch_fails(it, BGFETCH_ERROR_BLOCKED_PORT,
              "{ \"id\": \"x\", \"requests\": [\"http://a.test:25/\"] }");
}

static void credentials_in_a_url_are_refused(host *it) {
  fetch_fails(it, BGFETCH_ERROR_CREDENTIALS_IN_URL,
              "{ \"id\": \"x\", \"requests\": [\"https://u:p@a.test/\"] }");
}

static void the_mode_no_cors_is_refused(host *it) {
  fetch_fails(it, BGFETCH_ERROR_NO_CORS,
              "{ \"id\": \"x\", \"requests\": [{ \"url\": \"https://a.test/\", \"mode\": \"no-cors\" }] }");
}

static void an_id_in_use_is_refused(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  fetch_fails(it, BGFETCH_ERROR_ID_IN_USE, "{ \"id\": \"x\", \"requests\": [\"https://a.test/\"] }");
  OK(bgfetch_fetch_free(fetch));
}

static void a_url_that_is_none_is_refused_at_once(host *it) {
  FAILS(BGFETCH_ERROR_INVALID_URL,
        bgfetch_registration_fetch(it->registration, 1, T("{ \"id\": \"x\", \"requests\": [\"x\"] }")));
}

static void json_that_is_none_is_refused_at_once(host *it) {
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_registration_fetch(it->registration, 1, T("{")));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_registration_fetch(it->registration, 1, T(NULL)));
}

static void a_header_with_a_line_break_is_refused(host *it) {
  const char *call =
      "{ \"id\": \"x\", \"requests\": [{ \"url\": \"https://a.test/\", \"headers\": [[\"a\", \"b\\r\\nc: d\"]] }] }";
  FAILS(BGFETCH_ERROR_INVALID_HEADER, bgfetch_registration_fetch(it->registration, 1, T(call)));
}

static void one_request_can_be_checked_before(host *it) {
  (void)it;
  OK(bgfetch_check_request(T("\"https://a.test/\"")));
  FAILS(BGFETCH_ERROR_FORBIDDEN_METHOD,
        bgfetch_check_request(T("{ \"url\": \"https://a.test/\", \"method\": \"TRACE\" }")));
}

static void ids_are_listed_and_found(host *it) {
  bgfetch_handle fetch = download(it, "film", "https://far.test/film");
  OK(bgfetch_registration_get_ids(it->registration, next(it)));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_JSON && strcmp(it->last.json.data, "[\"film\"]") == 0);
  OK(bgfetch_registration_get(it->registration, next(it), T("film")));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_FETCH && it->last.handle != fetch);
  uint64_t key = it->last.key;
  OK(bgfetch_fetch_free(it->last.handle));
  OK(bgfetch_registration_find(it->registration, next(it), key));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_FETCH && it->last.key == key);
  OK(bgfetch_fetch_free(it->last.handle));
  OK(bgfetch_fetch_free(fetch));
}

static void what_does_not_exist_is_not_found(host *it) {
  OK(bgfetch_registration_get(it->registration, next(it), T("film")));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_NONE);
  OK(bgfetch_registration_find(it->registration, next(it), 77));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_NONE);
}

static void without_an_active_worker_calls_are_refused(host *it) {
  OK(bgfetch_registration_set_active_worker(it->registration, next(it), false));
  answered(it, 0);
  fetch_fails(it, BGFETCH_ERROR_NO_ACTIVE_WORKER,
              "{ \"id\": \"x\", \"requests\": [\"https://a.test/\"] }");
}

static void a_held_fetch_begins_when_it_is_started(host *it) {
  OK(bgfetch_registration_fetch(it->registration, next(it),
      T("{ \"id\": \"x\", \"requests\": [\"https://far.test/\"], \"held\": true }")));
  answered(it, 0);
  bgfetch_handle fetch = it->last.handle;
  bgfetch_completion_clear(&it->last);
  OK(bgfetch_registration_get_ids(it->registration, next(it)));
  answered(it, 0);
  for (size_t at = 0; at < it->seen_count; at++) CHECK(it->seen[at].kind != BGFETCH_FETCH_START);
  OK(bgfetch_fetch_start(fetch));
  serve(it, "x");
  CHECK(settled(it, fetch).result == BGFETCH_SUCCESS);
  OK(bgfetch_fetch_free(fetch));
}

static void abort_is_answered_once_with_yes(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  OK(bgfetch_fetch_abort(fetch, next(it)));
  answered(it, 0);
  CHECK(it->last.value == BGFETCH_VALUE_BOOL && it->last.flag);
  OK(bgfetch_fetch_abort(fetch, next(it)));
  answered(it, 0);
  CHECK(!it->last.flag);
  CHECK(settled(it, fetch).result == BGFETCH_ABORTED);
  OK(bgfetch_fetch_free(fetch));
}

static void pages_have_policies_of_their_own(host *it) {
  bgfetch_handle page = 0;
  OK(bgfetch_registration_open(it->engine, T("https://app.test/"), T("https://app.test/"), &page));
  OK(bgfetch_registration_set_principal(page,
      T("{ \"page\": { \"origin\": \"https://app.test\", \"top_level_origin\": \"https://app.test\","
        " \"secure_context\": true } }")));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_registration_set_principal(page, T("\"nobody\"")));
  OK(bgfetch_registration_fetch(page, next(it),
      T("{ \"id\": \"x\", \"requests\": [\"https://far.test/\"] }")));
  answered(it, 0);
  bgfetch_handle fetch = it->last.handle;
  bgfetch_completion_clear(&it->last);
  /* A response without CORS is none for the page. */
  respond(message(it), 200, NULL, 0);
  CHECK(settled(it, fetch).result == BGFETCH_FETCH_ERROR);
  OK(bgfetch_fetch_free(fetch));
  OK(bgfetch_registration_free(page));
}

static void an_unregistered_registration_takes_its_fetches_with_it(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  OK(bgfetch_registration_unregister(it->registration, next(it)));
  answered(it, 0);
  OK(bgfetch_engine_registrations(it->engine, next(it)));
  answered(it, 0);
  CHECK(is(it->last.json, "[]"));
  OK(bgfetch_fetch_free(fetch));
}

static void cleared_data_is_gone(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  OK(bgfetch_engine_usage(it->engine, next(it), T("https://app.test/")));
  answered(it, 0);
  CHECK(contains(it->last.json, "\"metadata\":") && !contains(it->last.json, "\"total\":0,"));
  OK(bgfetch_engine_clear(it->engine, next(it), T("https://app.test/")));
  answered(it, 0);
  OK(bgfetch_engine_usage(it->engine, next(it), T("https://app.test/")));
  answered(it, 0);
  CHECK(contains(it->last.json, "\"total\":0"));
  OK(bgfetch_fetch_free(fetch));
}

static void a_revoked_permission_ends_the_fetches_of_pages(host *it) {
  OK(bgfetch_registration_set_principal(it->registration,
      T("{ \"page\": { \"origin\": \"https://app.test\", \"top_level_origin\": \"https://app.test\","
        " \"secure_context\": true } }")));
  bgfetch_handle fetch = download(it, "x", "https://app.test/film");
  OK(bgfetch_engine_revoke_permission(it->engine, next(it), T("https://app.test/")));
  answered(it, 0);
  CHECK(settled(it, fetch).result == BGFETCH_ABORTED);
  OK(bgfetch_fetch_free(fetch));
}

static void the_user_pauses_resumes_and_aborts(host *it) {
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  uint64_t key = 0;
  bgfetch_attributes now = BGFETCH_ATTRIBUTES_INIT;
  OK(bgfetch_fetch_attributes(fetch, &now));
  key = now.key;
  message(it);
  OK(bgfetch_ui_pause(it->engine, next(it), key));
  answered(it, 0);
  await(it, BGFETCH_FETCH_CANCEL, 0);
  OK(bgfetch_ui_resume(it->engine, next(it), key));
  answered(it, 0);
  message(it);
  OK(bgfetch_ui_set_rate(it->engine, next(it), key, 1000));
  answered(it, 0);
  OK(bgfetch_ui_dismiss(it->engine, next(it), key));
  answered(it, BGFETCH_ERROR_STILL_ACTIVE);
  OK(bgfetch_ui_abort(it->engine, next(it), key));
  answered(it, 0);
  CHECK(it->last.flag);
  OK(bgfetch_ui_pause(it->engine, next(it), 99));
  answered(it, BGFETCH_ERROR_NOT_FOUND);
  OK(bgfetch_fetch_free(fetch));
}

static void jobs_are_listed_and_watched(host *it) {
  bgfetch_handle fetch = download(it, "film", "https://far.test/film");
  OK(bgfetch_ui_jobs(it->engine, next(it)));
  answered(it, 0);
  CHECK(contains(it->last.json, "\"title\":\"A film\""));
  OK(bgfetch_ui_watch(it->engine, next(it)));
  await(it, BGFETCH_JOB, it->engine);
  CHECK(contains(it->last.json, "\"id\":\"film\""));
  serve(it, "x");
  settled(it, fetch);
  OK(bgfetch_fetch_free(fetch));
}

static void limits_and_rates_change(host *it) {
  OK(bgfetch_engine_set_limits(it->engine, next(it), T("{ \"perHost\": 1 }")));
  answered(it, 0);
  OK(bgfetch_engine_set_rate(it->engine, next(it), 1000));
  answered(it, 0);
  OK(bgfetch_engine_set_rate(it->engine, next(it), UINT64_MAX));
  answered(it, 0);
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT,
        bgfetch_engine_set_limits(it->engine, 1, T("{ \"perhost\": 1 }")));
}

static void the_manual_switch_holds_everything_back(host *it) {
  OK(bgfetch_engine_set_online(it->engine, false, false));
  bgfetch_handle fetch = download(it, "x", "https://far.test/");
  OK(bgfetch_ui_watch(it->engine, next(it)));
  do await(it, BGFETCH_JOB, it->engine);
  while (!contains(it->last.json, "offline"));
  OK(bgfetch_engine_set_online(it->engine, true, false));
  serve(it, "x");
  CHECK(settled(it, fetch).result == BGFETCH_SUCCESS);
  OK(bgfetch_fetch_free(fetch));
}

static void the_switch_of_the_system_is_not_the_host_s(host *it) {
  FAILS(BGFETCH_ERROR_WRONG_STATE, bgfetch_engine_set_online(it->engine, true, false));
}

static void a_closed_engine_refuses_calls(host *it) {
  OK(bgfetch_engine_close(it->engine, next(it)));
  answered(it, 0);
  await(it, BGFETCH_CLOSED, it->engine);
  CHECK(it->last.error == NULL);
  FAILS(BGFETCH_ERROR_CLOSED, bgfetch_engine_close(it->engine, 1));
  FAILS(BGFETCH_ERROR_CLOSED, bgfetch_ui_jobs(it->engine, 1));
  OK(bgfetch_registration_get_ids(it->registration, next(it)));
  answered(it, BGFETCH_ERROR_CLOSED);
  CHECK(is(bgfetch_error_exception(it->last.error), "AbortError"));
  OK(bgfetch_engine_free(it->engine));
}

static void two_engines_share_a_queue(host *it) {
  OK(bgfetch_engine_open(it->queue, next(it), T("{ \"ephemeral\": true }")));
  answered(it, 0);
  bgfetch_handle other = it->last.handle;
  CHECK(other != it->engine);
  OK(bgfetch_engine_registrations(other, next(it)));
  answered(it, 0);
  CHECK(is(it->last.json, "[]"));
  OK(bgfetch_engine_free(other));
  await(it, BGFETCH_CLOSED, other);
}

static void an_engine_needs_a_store(host *it) {
  OK(bgfetch_engine_open(it->queue, next(it), T("{}")));
  answered(it, BGFETCH_ERROR_NO_STORE);
  OK(bgfetch_engine_open(it->queue, next(it), T("{ \"directory\": \"/dev/null/x\" }")));
  answered(it, BGFETCH_ERROR_STORE_IO);
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT,
        bgfetch_engine_open(it->queue, 1, T("{ \"ephemeral\": true, \"colour\": \"red\" }")));
}

static void the_user_is_asked_and_answers_once(host *it) {
  const char *call = "{ \"id\": \"x\", \"requests\": [\"https://far.test/\"], \"title\": \"A film\" }";
  OK(bgfetch_registration_fetch(it->registration, next(it), T(call)));
  uint64_t token = it->token;
  await(it, BGFETCH_PERMISSION, 0);
  CHECK(is(it->last.text, "A film") && is(it->last.storage_key, "https://app.test/"));
  CHECK(contains(it->last.json, "\"id\":\"x\"") && it->last.engine == it->engine);
  bgfetch_handle question = it->last.token;
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_answer_quota(question, 1));
  FAILS(BGFETCH_ERROR_INVALID_ARGUMENT, bgfetch_answer_permission(question, 9));
  OK(bgfetch_answer_permission(question, BGFETCH_PERMISSION_DENIED));
  FAILS(BGFETCH_ERROR_INVALID_HANDLE, bgfetch_answer_permission(question, BGFETCH_PERMISSION_GRANTED));
  await(it, BGFETCH_CALL_DONE, token);
  CHECK(bgfetch_error_code(it->last.error) == BGFETCH_ERROR_PERMISSION_DENIED);
  CHECK(is(bgfetch_error_exception(it->last.error), "NotAllowedError"));
  OK(bgfetch_registration_fetch(it->registration, next(it), T(call)));
  await(it, BGFETCH_PERMISSION, 0);
  OK(bgfetch_answer_permission(it->last.token, BGFETCH_PERMISSION_GRANTED));
  answered(it, 0);
  OK(bgfetch_fetch_free(it->last.handle));
}

static void the_quota_is_asked_for(host *it) {
  const char *call = "{ \"id\": \"x\", \"requests\": [\"https://far.test/\"], \"downloadTotal\": 1000000 }";
  OK(bgfetch_registration_fetch(it->registration, next(it), T(call)));
  await(it, BGFETCH_QUOTA, 0);
  CHECK(is(it->last.storage_key, "https://app.test/"));
  OK(bgfetch_answer_quota(it->last.token, 1000));
  answered(it, BGFETCH_ERROR_QUOTA_EXCEEDED);
  CHECK(is(bgfetch_error_exception(it->last.error), "QuotaExceededError"));
}

static void a_number_is_a_quota_too(host *it) {
  fetch_fails(it, BGFETCH_ERROR_QUOTA_EXCEEDED,
              "{ \"id\": \"x\", \"requests\": [\"https://far.test/\"], \"downloadTotal\": 1000000 }");
}

static void the_local_network_is_asked_for(host *it) {
  OK(bgfetch_registration_set_principal(it->registration,
      T("{ \"page\": { \"origin\": \"https://app.test\", \"top_level_origin\": \"https://app.test\","
        " \"secure_context\": true } }")));
  bgfetch_handle fetch = download(it, "x", "https://192.168.7.7/");
  await(it, BGFETCH_LOCAL_NETWORK, 0);
  CHECK(contains(it->last.json, "\"space\":\"local\""));
  CHECK(is(it->last.text, "https://192.168.7.7/"));
  OK(bgfetch_answer_local_network(it->last.token, false));
  CHECK(settled(it, fetch).result == BGFETCH_FETCH_ERROR);
  OK(bgfetch_fetch_free(fetch));
}

#define HOST "\"network\": \"host\""
const test_case calls[] = {
    {"the version is that of the header", NULL, the_version_is_that_of_the_header},
    {"a fetch has its attributes", HOST, a_fetch_has_its_attributes},
    {"an empty id is refused", "", an_empty_id_is_refused},
    {"a call needs requests", "", a_call_needs_requests},
    {"a blocked port is refused", "", a_blocked_port_is_refused},
    {"credentials in a URL are refused", "", credentials_in_a_url_are_refused},
    {"the mode no-cors is refused", "", the_mode_no_cors_is_refused},
    {"an id in use is refused", HOST, an_id_in_use_is_refused},
    {"a URL that is none is refused at once", "", a_url_that_is_none_is_refused_at_once},
    {"JSON that is none is refused at once", "", json_that_is_none_is_refused_at_once},
    {"a header with a line break is refused", "", a_header_with_a_line_break_is_refused},
    {"one request can be checked before", NULL, one_request_can_be_checked_before},
    {"ids are listed and found", HOST, ids_are_listed_and_found},
    {"what does not exist is not found", "", what_does_not_exist_is_not_found},
    {"without an active worker calls are refused", "", without_an_active_worker_calls_are_refused},
    {"a held fetch begins when it is started", HOST, a_held_fetch_begins_when_it_is_started},
    {"abort is answered once with yes", HOST, abort_is_answered_once_with_yes},
    {"pages have policies of their own", HOST, pages_have_policies_of_their_own},
    {"an unregistered registration takes its fetches with it", HOST,
     an_unregistered_registration_takes_its_fetches_with_it},
    {"cleared data is gone", HOST, cleared_data_is_gone},
    {"a revoked permission ends the fetches of pages", HOST,
     a_revoked_permission_ends_the_fetches_of_pages},
    {"the user pauses, resumes and aborts", HOST, the_user_pauses_resumes_and_aborts},
    {"jobs are listed and watched", HOST, jobs_are_listed_and_watched},
    {"limits and rates change", "", limits_and_rates_change},
    {"the manual switch holds everything back", HOST ", \"connectivity\": \"manual\"",
     the_manual_switch_holds_everything_back},
    {"the switch of the system is not the host's", "", the_switch_of_the_system_is_not_the_host_s},
    {"a closed engine refuses calls", "", a_closed_engine_refuses_calls},
    {"two engines share a queue", "", two_engines_share_a_queue},
    {"an engine needs a store", "", an_engine_needs_a_store},
    {"the user is asked and answers once", HOST ", \"permission\": \"ask\"",
     the_user_is_asked_and_answers_once},
    {"the quota is asked for", HOST ", \"quota\": \"ask\"", the_quota_is_asked_for},
    {"a number is a quota, too", HOST ", \"quota\": 1000", a_number_is_a_quota_too},
    {"the local network is asked for", "\"localNetwork\": \"ask\"", the_local_network_is_asked_for},
    {0},
};
