/*
 * A program that downloads for its user, with a poll loop: it may be killed at any time, and the next one goes on.
 *
 *   cc embed.c $(pkg-config --cflags --libs bgfetch) -o embed
 *   ./embed STATE URL FILE
 *
 * The engine runs on threads of its own. This thread sleeps until the queue's descriptor can be read.
 */
#include <bgfetch.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* The numbers of the calls, by which their answers are known. */
enum call { OPEN = 1, REGISTER, START, JOBS, GET, FETCH, RECORDS, EXPORT, SYNC, CLOSE };

static struct {
  const char *url, *file;
  bgfetch_handle queue, engine, registration, fetch;
  /* The event that is being handled, with its fetch, and what it waits for. */
  bgfetch_handle event, settled, extension;
  bool done, failed;
} app;

static void check(bgfetch_error *error) {
  if (error == NULL) return;
  bgfetch_str message = bgfetch_error_message(error);
  fprintf(stderr, "embed: %.*s\n", (int)message.length, message.data);
  bgfetch_error_free(error);
  exit(1);
}

/* A JSON text: a quotation mark or a backslash needs a backslash before it. */
static void append_json(char *to, size_t size, const char *text) {
  size_t length = strlen(to);
  for (; *text && length + 3 < size; text++) {
    if (*text == '"' || *text == '\\') to[length++] = '\\';
    to[length++] = *text;
  }
  to[length] = 0;
}

static void start_download(void) {
  char call[4096] = "{ \"id\": \"download\", \"title\": \"A file\", \"requests\": [\"";
  append_json(call, sizeof call - 8, app.url);
  strcat(call, "\"] }");
  check(bgfetch_registration_fetch(app.registration, FETCH, bgfetch_text(call)));
}

static void show_progress(void) {
  bgfetch_attributes now = BGFETCH_ATTRIBUTES_INIT;
  check(bgfetch_fetch_attributes(app.fetch, &now));
  printf("%" PRIu64 " bytes\n", now.downloaded);
}

/* The event has been handled. If it was not, it is fired again, also by the next process. */
static void end_event(const char *failure) {
  check(bgfetch_extension_settle(app.extension, bgfetch_text(failure)));
  check(bgfetch_fetch_free(app.settled));
}

static void answered(const bgfetch_completion *it) {
  if (it->error && it->token == EXPORT && bgfetch_error_code(it->error) == BGFETCH_ERROR_STORE_IO) {
    /* The file exists: an earlier process has saved it, but was killed before it could say so. */
  } else if (it->error) {
    bgfetch_str message = bgfetch_error_message(it->error);
    fprintf(stderr, "embed: %.*s\n", (int)message.length, message.data);
    app.done = app.failed = true;
    return;
  }
  switch (it->token) {
    case OPEN:
      app.engine = it->handle;
      check(bgfetch_registration_register(app.engine, REGISTER, bgfetch_text("embed"),
                                          bgfetch_text("https://embed.example/")));
      break;
    case REGISTER:
      app.registration = it->handle;
      /* No page's policies apply. */
      check(bgfetch_registration_set_principal(app.registration, bgfetch_text("\"user\"")));
      check(bgfetch_registration_start(app.registration, START));
      check(bgfetch_ui_jobs(app.engine, JOBS));
      break;
    case JOBS:
      /* The download of an earlier process goes on by itself, and its event comes if it has ended. */
      if (strstr(it->json.data, "\"over\":false"))
        check(bgfetch_registration_get(app.registration, GET, bgfetch_text("download")));
      else
        start_download();
      break;
    case GET:
    case FETCH:
      app.fetch = it->handle;
      break;
    case RECORDS:
      check(bgfetch_record_export(it->handles[0], EXPORT, bgfetch_text(app.file), BGFETCH_LINK));
      for (size_t at = 0; at < it->handle_count; at++) check(bgfetch_record_free(it->handles[at]));
      break;
    case EXPORT:
      /* From then on, the file survives a loss of power. */
      check(bgfetch_fetch_sync_exports(app.settled, SYNC));
      break;
    case SYNC:
      printf("saved %s\n", app.file);
      end_event(NULL);
      break;
    case CLOSE:
      app.done = true;
      break;
  }
}

static void event(const bgfetch_completion *it) {
  printf("%.*s\n", (int)it->text.length, it->text.data);
  app.event = it->event;
  app.settled = it->fetch;
  /* waitUntil(), and then the listener has run. */
  check(bgfetch_event_extend(app.event, &app.extension));
  check(bgfetch_event_end_dispatch(app.event));
  if (it->number == BGFETCH_EVENT_SUCCESS) {
    bgfetch_str all = bgfetch_text(NULL);
    check(bgfetch_fetch_match_all(app.settled, RECORDS, all, all, false));
  } else {
    app.failed = true;
    end_event(NULL);
  }
}

static void happened(const bgfetch_completion *it) {
  switch (it->kind) {
    case BGFETCH_CALL_DONE:
      answered(it);
      break;
    case BGFETCH_UPDATE:
      if (it->fetch == app.fetch) show_progress();
      break;
    case BGFETCH_EVENT:
      event(it);
      break;
    case BGFETCH_EVENT_ENDED:
      check(bgfetch_event_free(it->event));
      check(bgfetch_engine_close(app.engine, CLOSE));
      break;
    case BGFETCH_CLOSED:
      if (it->error) app.done = app.failed = true;
      break;
  }
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: embed STATE URL FILE\n");
    return 2;
  }
  app.url = arguments[2];
  app.file = arguments[3];
  setvbuf(stdout, NULL, _IOLBF, 0);
  check(bgfetch_queue_open(&app.queue));
  char options[4096] = "{ \"directory\": \"";
  append_json(options, sizeof options - 8, arguments[1]);
  strcat(options, "\" }");
  check(bgfetch_engine_open(app.queue, OPEN, bgfetch_text(options)));

  struct pollfd descriptor = {.fd = bgfetch_queue_fd(app.queue), .events = POLLIN};
  bgfetch_completion completion = BGFETCH_COMPLETION_INIT;
  while (!app.done && poll(&descriptor, 1, -1) >= 0) {
    check(bgfetch_queue_next(app.queue, 0, &completion));
    happened(&completion);
    /* What it contains is not needed any more, and an update was applied. */
    bgfetch_completion_clear(&completion);
  }
  check(bgfetch_queue_close(app.queue));
  return app.failed ? 1 : 0;
}
