/*
 * Background Fetch for C: https://wicg.github.io/background-fetch/
 *
 * Made by cbindgen. The guide is docs/embedding.md.
 *
 * Calls. A function with a `token` starts a call: its answer comes from the queue as BGFETCH_CALL_DONE with that number,
 * which the host chooses. If the function itself returns an error, that is the only answer. The other functions answer
 * at once, and do not wait.
 *
 * Threads. Every function can be called from any thread at any time, with these exceptions: one thread at a time takes
 * completions of a queue (BGFETCH_ERROR_QUEUE_BUSY), and a completion, an error or a struct is used by one thread at a
 * time. There are no callbacks.
 *
 * Memory. Arguments are borrowed for the call. What a completion contains lives until it is cleared or used again, and
 * an error until it is freed. Every handle that a host gets is the host's to free; closing a queue frees all of its
 * handles. 0 and NULL can be freed.
 *
 * Errors. NULL is success. Handles that were freed, handles of another kind, NULL where there must be something, and
 * structs with a wrong size are errors, and nothing happens. A panic of the library is one, too
 * (BGFETCH_ERROR_PANIC), unless it was built with panic = "abort": then it ends the process.
 *
 * Structs begin with their size, which the macros BGFETCH_..._INIT set.
 */

#ifndef BGFETCH_H
#define BGFETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BGFETCH_VERSION "0.1.0"
#define BGFETCH_VERSION_MAJOR 0
#define BGFETCH_VERSION_MINOR 1
#define BGFETCH_VERSION_PATCH 0

/* The numbers of errors. */
enum bgfetch_error_code {
  BGFETCH_ERROR_OTHER = 1,
  BGFETCH_ERROR_INVALID_HANDLE = 2,
  BGFETCH_ERROR_WRONG_KIND = 3,
  BGFETCH_ERROR_INVALID_ARGUMENT = 4,
  BGFETCH_ERROR_TOO_MANY_HANDLES = 5,
  BGFETCH_ERROR_QUEUE_BUSY = 6,
  BGFETCH_ERROR_PANIC = 7,
  BGFETCH_ERROR_INTERRUPTED = 8,
  BGFETCH_ERROR_NO_CREDIT = 9,
  BGFETCH_ERROR_WRONG_STATE = 10,
  BGFETCH_ERROR_NO_RESOURCES = 11,
  BGFETCH_ERROR_EMPTY_ID = 100,
  BGFETCH_ERROR_NO_REQUESTS = 101,
  BGFETCH_ERROR_TOO_MANY_REQUESTS = 102,
  BGFETCH_ERROR_TOO_MANY_FETCHES = 103,
  BGFETCH_ERROR_TOO_LONG = 104,
  BGFETCH_ERROR_NO_CORS = 105,
  BGFETCH_ERROR_FORBIDDEN_METHOD = 106,
  BGFETCH_ERROR_ONLY_IF_CACHED = 107,
  BGFETCH_ERROR_CREDENTIALS_IN_URL = 108,
  BGFETCH_ERROR_BLOCKED_PORT = 109,
  BGFETCH_ERROR_ID_IN_USE = 110,
  BGFETCH_ERROR_BODY_UNREADABLE = 111,
  BGFETCH_ERROR_NOT_PAUSABLE = 112,
  BGFETCH_ERROR_STILL_ACTIVE = 113,
  BGFETCH_ERROR_RECORDS_UNAVAILABLE = 114,
  BGFETCH_ERROR_PERMISSION_DENIED = 115,
  BGFETCH_ERROR_NO_ACTIVE_WORKER = 116,
  BGFETCH_ERROR_QUOTA_EXCEEDED = 117,
  BGFETCH_ERROR_SITE_LIMIT = 118,
  BGFETCH_ERROR_NOT_FOUND = 119,
  BGFETCH_ERROR_INVALID_URL = 120,
  BGFETCH_ERROR_INVALID_HEADER = 121,
  BGFETCH_ERROR_TLS_UNAVAILABLE = 122,
  BGFETCH_ERROR_NO_THREAD = 123,
  BGFETCH_ERROR_NO_STORE = 124,
  BGFETCH_ERROR_CLOSED = 125,
  BGFETCH_ERROR_STOPPED = 126,
  BGFETCH_ERROR_NOT_ACTIVE = 127,
  BGFETCH_ERROR_ALREADY_UPDATED = 128,
  BGFETCH_ERROR_NOT_UPDATE_UI_EVENT = 129,
  BGFETCH_ERROR_UPDATE_UI_FAILED = 130,
  BGFETCH_ERROR_ABORTED = 200,
  BGFETCH_ERROR_RECORD_FAILED = 201,
  BGFETCH_ERROR_REPLACED = 202,
  BGFETCH_ERROR_STORE_IN_USE = 300,
  BGFETCH_ERROR_STORE_NEWER_VERSION = 301,
  BGFETCH_ERROR_STORE_DAMAGED = 302,
  BGFETCH_ERROR_STORE_UNTRUSTED = 303,
  BGFETCH_ERROR_DISK_FULL = 304,
  BGFETCH_ERROR_STORE_IO = 305,
  BGFETCH_ERROR_STORE_DATABASE = 306,
  BGFETCH_ERROR_STORE_MISUSE = 307,
  BGFETCH_ERROR_STORE_STOPPED = 308,
};


// What a read found.
enum bgfetch_read_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // At least one byte.
  BGFETCH_READ_READY = 0,
  // The bytes are still to come: BGFETCH_BODY_READY tells when to try again.
  BGFETCH_READ_AGAIN = 1,
  // The body ends here, or earlier.
  BGFETCH_READ_END = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_read_state bgfetch_read_state;
#else
typedef uint32_t bgfetch_read_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a fetch or a record ended.
enum bgfetch_result
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It has not ended.
  BGFETCH_ACTIVE = 0,
  // It succeeded.
  BGFETCH_SUCCESS = 1,
  // It failed: it was aborted.
  BGFETCH_ABORTED = 2,
  // It failed: a response did not have an ok status.
  BGFETCH_BAD_STATUS = 3,
  // It failed: the network, or a check of the web platform.
  BGFETCH_FETCH_ERROR = 4,
  // It failed: the quota was reached.
  BGFETCH_QUOTA_EXCEEDED = 5,
  // It failed: there were more bytes than `downloadTotal` promised.
  BGFETCH_DOWNLOAD_TOTAL_EXCEEDED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_result bgfetch_result;
#else
typedef uint32_t bgfetch_result;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a completion is about.
enum bgfetch_completion_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nothing.
  BGFETCH_NONE = 0,
  // The call with this `token` is done. It failed if `error` is not NULL; otherwise `value` says what there is.
  BGFETCH_CALL_DONE = 1,
  // `fetch` has new attributes. `flag`: `progress` must be fired.
  BGFETCH_UPDATE = 2,
  // A job of `engine` has changed: `key`, and `json` as it is now, or an empty text if it is gone.
  BGFETCH_JOB = 3,
  // `event` is to be fired at the worker of `registration`. `number` is its kind, `text` its name, and `fetch` what it
  // is about, with the id `id`. The host frees `event` and `fetch`.
  BGFETCH_EVENT = 4,
  // `event` is no longer active. `flag`: it was handled. `text`: why not, or why a promise was rejected.
  BGFETCH_EVENT_ENDED = 5,
  // Reading `body` at the offset `number` will not be in vain any more.
  BGFETCH_BODY_READY = 6,
  // A page calls `fetch()` of `engine`, with the id `id` and the title `text`, for `storage_key`; all of it is in `json`. Answer with
  // `bgfetch_answer_permission(token, …)`.
  BGFETCH_PERMISSION = 7,
  // A page needs an address that is less public than its own, for the URL `text`: see `json`. Answer with
  // `bgfetch_answer_local_network(token, …)`.
  BGFETCH_LOCAL_NETWORK = 8,
  // How many bytes may `storage_key` use? Answer with `bgfetch_answer_quota(token, …)`.
  BGFETCH_QUOTA = 9,
  // A request to the URL `text` needs its cookies, or, with `flag`, its response has set those in `headers`. Answer
  // with `bgfetch_answer_cookies(token, …)`.
  BGFETCH_COOKIES = 10,
  // A message is to be sent by the host's network stack: `method`, `text` is the URL, `headers`; if `flag` is set, a
  // body of `number` bytes. The rest is in `json`. Answer with `bgfetch_network_…(token, …)`.
  BGFETCH_FETCH_START = 11,
  // The message `token`, or its response, is no longer wanted. It is freed.
  BGFETCH_FETCH_CANCEL = 12,
  // `number` more bytes can be given to the message or source `token`.
  BGFETCH_CREDIT = 13,
  // The network of `engine` has changed. Open connections of the host's network stack may be dead.
  BGFETCH_NETWORK_CHANGED = 14,
  // `engine` has ended, because of `error` if that is not NULL. The host frees it.
  BGFETCH_CLOSED = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_completion_kind bgfetch_completion_kind;
#else
typedef uint32_t bgfetch_completion_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a call was answered with.
enum bgfetch_value_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nothing: it is done, or there is no such thing.
  BGFETCH_VALUE_NONE = 0,
  // The object `handle`, which the host frees.
  BGFETCH_VALUE_HANDLE = 1,
  // The objects `handles`, each of which the host frees.
  BGFETCH_VALUE_HANDLES = 2,
  // The background fetch `handle` with the identity `key` and the id `id`. The host frees it. A new fetch starts when the completion
  // is cleared.
  BGFETCH_VALUE_FETCH = 3,
  // A response: its status is `number`, its URL `text`, its headers are `headers`, all of it is in `json`, and its
  // body is `handle`, which the host frees.
  BGFETCH_VALUE_RESPONSE = 4,
  // The bytes `data`. None are the end.
  BGFETCH_VALUE_BYTES = 5,
  // Yes or no: `flag`.
  BGFETCH_VALUE_BOOL = 6,
  // Several things, as `json`.
  BGFETCH_VALUE_JSON = 7,
  // A request: its `method`, its URL `text`, its headers are `headers`, and all of it is in `json`.
  BGFETCH_VALUE_REQUEST = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_value_kind bgfetch_value_kind;
#else
typedef uint32_t bgfetch_value_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which event.
enum bgfetch_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Every record succeeded: `backgroundfetchsuccess`.
  BGFETCH_EVENT_SUCCESS = 1,
  // A record failed: `backgroundfetchfail`.
  BGFETCH_EVENT_FAIL = 2,
  // The fetch was aborted: `backgroundfetchabort`.
  BGFETCH_EVENT_ABORT = 3,
  // The user activated it: `backgroundfetchclick`.
  BGFETCH_EVENT_CLICK = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_event_kind bgfetch_event_kind;
#else
typedef uint32_t bgfetch_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why there is no response, or no more of it.
enum bgfetch_fault
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The name could not be resolved, or no route leads to its addresses.
  BGFETCH_FAULT_NO_ROUTE = 1,
  // The connection was refused or could not be made.
  BGFETCH_FAULT_UNREACHABLE = 2,
  // The connection was lost.
  BGFETCH_FAULT_INTERRUPTED = 3,
  // The host's policy refuses the request. It is not tried again.
  BGFETCH_FAULT_BLOCKED = 4,
  // TLS failed. It is not tried again.
  BGFETCH_FAULT_TLS = 5,
  // The server violated HTTP. It is not tried again.
  BGFETCH_FAULT_PROTOCOL = 6,
  // A proxy does not accept its user. It is not tried again.
  BGFETCH_FAULT_PROXY_AUTHENTICATION = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_fault bgfetch_fault;
#else
typedef uint32_t bgfetch_fault;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a body becomes a file.
enum bgfetch_handover
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A copy, which takes no space on file systems that can share it.
  BGFETCH_COPY = 0,
  // A link to the stored body, or a copy where that is not possible.
  BGFETCH_LINK = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_handover bgfetch_handover;
#else
typedef uint32_t bgfetch_handover;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why not all listeners ran.
enum bgfetch_not_handled
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // There is no active worker. The event waits.
  BGFETCH_NO_ACTIVE_WORKER = 1,
  // The worker is not to be started now. The event waits.
  BGFETCH_NOT_YET = 2,
  // The worker did not start. The event is fired again later.
  BGFETCH_START_FAILED = 3,
  // The worker ended before its listeners had run. The event is fired again later.
  BGFETCH_CRASHED = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_not_handled bgfetch_not_handled;
#else
typedef uint32_t bgfetch_not_handled;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The permission for a call of `fetch()`.
enum bgfetch_permission
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Refuse.
  BGFETCH_PERMISSION_DENIED = 0,
  // Proceed.
  BGFETCH_PERMISSION_GRANTED = 1,
  // Proceed, but paused until the user accepts.
  BGFETCH_PERMISSION_START_PAUSED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bgfetch_permission bgfetch_permission;
#else
typedef uint32_t bgfetch_permission;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why a call failed. The caller frees it, unless it is part of a completion.
typedef struct bgfetch_error bgfetch_error;

// What a completion owns. The parts are shared or vectors that do not change, so pointers to them stay valid.
typedef struct bgfetch_kept bgfetch_kept;

// Text in UTF-8. NULL is the empty text. As an argument it is borrowed for the call, and need not be terminated. In a
// completion, a zero byte follows that does not count.
typedef struct bgfetch_str {
  // The first byte.
  const char *data;
  // How many bytes.
  size_t length;
} bgfetch_str;

// The number of an object. 0 names none. A handle that was freed, or that names an object of another kind, is an error
// (BGFETCH_ERROR_INVALID_HANDLE, BGFETCH_ERROR_WRONG_KIND) and never another object.
typedef uint64_t bgfetch_handle;

// What a read found, and how many bytes.
typedef struct bgfetch_read {
  // What it found.
  bgfetch_read_state state;
  // How many bytes were read.
  size_t length;
} bgfetch_read;

// The attributes of a fetch. Initialize it with BGFETCH_ATTRIBUTES_INIT.
typedef struct bgfetch_attributes {
  // The size of this struct.
  size_t size;
  // Its identity in its store.
  uint64_t key;
  // The attribute `uploadTotal`, in bytes.
  uint64_t upload_total;
  // The attribute `uploaded`, in bytes.
  uint64_t uploaded;
  // The attribute `downloadTotal`, in bytes.
  uint64_t download_total;
  // The attribute `downloaded`, in bytes.
  uint64_t downloaded;
  // The attributes `result` and `failureReason`.
  bgfetch_result result;
  // The attribute `recordsAvailable`.
  bool records_available;
} bgfetch_attributes;

// What is known of a record. Initialize it with BGFETCH_RECORD_INFO_INIT.
typedef struct bgfetch_record_info {
  // The size of this struct.
  size_t size;
  // Its position among the records of its fetch.
  uint32_t index;
  // The status of the response, or 0 if there is none that may be exposed.
  uint32_t status;
  // The length of the stored body in bytes.
  uint64_t stored;
  // How it ended.
  bgfetch_result result;
} bgfetch_record_info;

// A header of a request or a response.
typedef struct bgfetch_header {
  // Its name.
  struct bgfetch_str name;
  // Its value, which need not be UTF-8.
  struct bgfetch_str value;
} bgfetch_header;

// What is known of a response besides its body. Initialize it with BGFETCH_RESPONSE_START_INIT.
typedef struct bgfetch_response_start {
  // The size of this struct.
  size_t size;
  // The status code of a final response.
  uint32_t status;
  // Whether content codings of the body are undone.
  bool decoded;
  // Whether the connection can carry other requests at the same time (HTTP/2).
  bool multiplexed;
  // The reason phrase; may be empty.
  struct bgfetch_str status_text;
  // The address that the response came from, as in "192.0.2.1". Empty if it is not known: then it counts as this
  // machine's, and a page of a public site needs the permission for that.
  struct bgfetch_str address;
  // The headers as received.
  const struct bgfetch_header *headers;
  // How many they are.
  size_t header_count;
} bgfetch_response_start;

// Something that happened. Initialize it with BGFETCH_COMPLETION_INIT. All pointers in it live until it is cleared or
// used for the next completion. The kind says which members are set; the others are 0.
typedef struct bgfetch_completion {
  // The size of this struct.
  size_t size;
  // What it is about.
  bgfetch_completion_kind kind;
  // What a call was answered with.
  bgfetch_value_kind value;
  // The number of a call, a question, a message or a source.
  uint64_t token;
  // An engine.
  bgfetch_handle engine;
  // A registration.
  bgfetch_handle registration;
  // A fetch.
  bgfetch_handle fetch;
  // An event.
  bgfetch_handle event;
  // A body.
  bgfetch_handle body;
  // The object of an answer.
  bgfetch_handle handle;
  // The objects of an answer.
  const bgfetch_handle *handles;
  // How many they are.
  size_t handle_count;
  // The identity of a fetch in its store.
  uint64_t key;
  // A number.
  uint64_t number;
  // Yes or no.
  bool flag;
  // A text.
  struct bgfetch_str text;
  // The id of a fetch.
  struct bgfetch_str id;
  // The method of a message or a request.
  struct bgfetch_str method;
  // A storage key.
  struct bgfetch_str storage_key;
  // Details in JSON.
  struct bgfetch_str json;
  // Bytes.
  const uint8_t *data;
  // How many they are.
  size_t data_length;
  // Headers.
  const struct bgfetch_header *headers;
  // How many they are.
  size_t header_count;
  // Why a call failed or an engine ended, or NULL. It is part of the completion.
  const struct bgfetch_error *error;
  // What the pointers point to. Not for the host.
  struct bgfetch_kept *kept;
} bgfetch_completion;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, as in "0.1.0". Compare it with BGFETCH_VERSION to find out whether it is that of the
// header.
struct bgfetch_str bgfetch_version(void);

// Answers BGFETCH_PERMISSION with a bgfetch_permission.
struct bgfetch_error *bgfetch_answer_permission(bgfetch_handle token, uint32_t permission);

// Answers BGFETCH_LOCAL_NETWORK.
struct bgfetch_error *bgfetch_answer_local_network(bgfetch_handle token, bool granted);

// Answers BGFETCH_QUOTA with the limit in bytes.
struct bgfetch_error *bgfetch_answer_quota(bgfetch_handle token, uint64_t bytes);

// Answers BGFETCH_COOKIES with the value of the request's header `Cookie`, or an empty text for none. If cookies were set,
// the answer says that they are stored.
struct bgfetch_error *bgfetch_answer_cookies(bgfetch_handle token,
                                             struct bgfetch_str value);

// Reads at most `length` bytes at `offset` of the whole body into a buffer. It never waits for the network, but may wait
// for the disk.
//
// # Safety
//
// `to` points to `length` bytes, and `read` to where the result goes.
struct bgfetch_error *bgfetch_body_read(bgfetch_handle body,
                                        uint64_t offset,
                                        uint8_t *to,
                                        size_t length,
                                        struct bgfetch_read *read);

// The length of the whole body in bytes, or UINT64_MAX if it is not known yet.
struct bgfetch_error *bgfetch_body_length(bgfetch_handle body, uint64_t *length);

// Writes bytes to a source: all of them, or none if there is no credit for them. Up to 192 KiB always get their credit
// in the end.
//
// # Safety
//
// `data` points to `length` bytes.
struct bgfetch_error *bgfetch_source_write(bgfetch_handle source,
                                           const uint8_t *data,
                                           size_t length);

// Makes a source for the body of one request. The host writes to it when there is BGFETCH_CREDIT for it, and ends it.
struct bgfetch_error *bgfetch_source_new(bgfetch_handle queue,
                                         bgfetch_handle *source);

// Reads at most `limit` bytes at `offset` on another thread, and waits for the first of them: answered by bytes, of which
// there are none at the end of the body.
struct bgfetch_error *bgfetch_body_read_later(bgfetch_handle body,
                                              uint64_t token,
                                              uint64_t offset,
                                              size_t limit);

// Frees a body. 0 is fine.
struct bgfetch_error *bgfetch_body_free(bgfetch_handle body);

// Reads the next bytes of a stream: answered by bytes, of which there are none at the end.
struct bgfetch_error *bgfetch_stream_read(bgfetch_handle stream, uint64_t token);

// Frees a stream. 0 is fine.
struct bgfetch_error *bgfetch_stream_free(bgfetch_handle stream);

// For how many bytes there is credit.
struct bgfetch_error *bgfetch_source_credit(bgfetch_handle source, size_t *credit);

// Ends a source. If `failure` is not NULL, the body cannot be read, for that reason.
struct bgfetch_error *bgfetch_source_end(bgfetch_handle source, struct bgfetch_str failure);

// Frees a source. If it was not ended, the body cannot be read. 0 is fine.
struct bgfetch_error *bgfetch_source_free(bgfetch_handle source);

// Opens an engine with these options in JSON: answered by a handle. It needs a `directory`, or `"ephemeral": true`. The
// table of options is in the guide.
struct bgfetch_error *bgfetch_engine_open(bgfetch_handle queue,
                                          uint64_t token,
                                          struct bgfetch_str options);

// Ends an engine gracefully: answered when its store is closed. BGFETCH_CLOSED follows.
struct bgfetch_error *bgfetch_engine_close(bgfetch_handle engine, uint64_t token);

// Frees an engine. If it was not closed, it ends as in a crash, which loses nothing that is durable. 0 is fine.
struct bgfetch_error *bgfetch_engine_free(bgfetch_handle engine);

// How much of its quota a storage key uses: answered by JSON.
struct bgfetch_error *bgfetch_engine_usage(bgfetch_handle engine,
                                           uint64_t token,
                                           struct bgfetch_str storage_key);

// The registrations in the store: answered by JSON.
struct bgfetch_error *bgfetch_engine_registrations(bgfetch_handle engine, uint64_t token);

// Removes all registrations of a storage key with their fetches and bytes: answered when every byte is durably gone.
struct bgfetch_error *bgfetch_engine_clear(bgfetch_handle engine,
                                           uint64_t token,
                                           struct bgfetch_str storage_key);

// The permission of a storage key's pages was revoked: their calls of `fetch()` are refused, and their active fetches
// aborted.
struct bgfetch_error *bgfetch_engine_revoke_permission(bgfetch_handle engine,
                                                       uint64_t token,
                                                       struct bgfetch_str storage_key);

// Changes how many attempts may run at once: the option `limits`, in JSON.
struct bgfetch_error *bgfetch_engine_set_limits(bgfetch_handle engine,
                                                uint64_t token,
                                                struct bgfetch_str limits);

// Changes how many bytes per second all fetches together move. UINT64_MAX is no limit.
struct bgfetch_error *bgfetch_engine_set_rate(bgfetch_handle engine, uint64_t token, uint64_t rate);

// Says whether the network is available and whether it costs, for an engine with `"connectivity": "manual"`.
struct bgfetch_error *bgfetch_engine_set_online(bgfetch_handle engine,
                                                bool online,
                                                bool metered);

// All fetches that are active, or finished and not dismissed: answered by JSON.
struct bgfetch_error *bgfetch_ui_jobs(bgfetch_handle engine, uint64_t token);

// Sends all jobs as BGFETCH_JOB, and then each that changes, until the engine ends.
struct bgfetch_error *bgfetch_ui_watch(bgfetch_handle engine, uint64_t token);

// Pauses the fetch with this key.
struct bgfetch_error *bgfetch_ui_pause(bgfetch_handle engine, uint64_t token, uint64_t key);

// Resumes the fetch with this key, or accepts one that was started paused.
struct bgfetch_error *bgfetch_ui_resume(bgfetch_handle engine, uint64_t token, uint64_t key);

// Aborts the fetch with this key: answered by whether it was active.
struct bgfetch_error *bgfetch_ui_abort(bgfetch_handle engine, uint64_t token, uint64_t key);

// Activates the fetch with this key: its worker gets `backgroundfetchclick`.
struct bgfetch_error *bgfetch_ui_click(bgfetch_handle engine, uint64_t token, uint64_t key);

// Removes the finished fetch with this key from the list, or gives up one whose event waits for a worker.
struct bgfetch_error *bgfetch_ui_dismiss(bgfetch_handle engine,
                                         uint64_t token,
                                         uint64_t key);

// Caps the bytes per second of the fetch with this key. UINT64_MAX is no cap.
struct bgfetch_error *bgfetch_ui_set_rate(bgfetch_handle engine,
                                          uint64_t token,
                                          uint64_t key,
                                          uint64_t rate);

// Its number, one of `BGFETCH_ERROR_…`, or 0 for NULL. Numbers never change, and one that is no longer used is not
// given to another error.
uint32_t bgfetch_error_code(const struct bgfetch_error *error);

// Its name: lower-case words with hyphens. It never changes and is never freed.
struct bgfetch_str bgfetch_error_name(const struct bgfetch_error *error);

// A sentence for people, which lives as long as the error.
struct bgfetch_str bgfetch_error_message(const struct bgfetch_error *error);

// The name of the exception that a script gets: that of a DOMException, or "TypeError". Empty if no script could have
// caused the error. It is never freed.
struct bgfetch_str bgfetch_error_exception(const struct bgfetch_error *error);

// Frees an error. NULL is fine.
void bgfetch_error_free(struct bgfetch_error *error);

// `waitUntil()`: the event stays active until the extension is settled. Freeing the extension instead says that its
// promise will never settle; then the event is fired again.
struct bgfetch_error *bgfetch_event_extend(bgfetch_handle event,
                                           bgfetch_handle *extension);

// Whether the event is active. False for a bad handle.
bool bgfetch_event_is_active(bgfetch_handle event);

// A promise that was given to `waitUntil()` has settled. If `rejection` is not NULL, it was rejected for that reason. Frees
// the extension.
struct bgfetch_error *bgfetch_extension_settle(bgfetch_handle extension,
                                               struct bgfetch_str rejection);

// Frees an extension whose promise will never settle. 0 is fine.
struct bgfetch_error *bgfetch_extension_free(bgfetch_handle extension);

// The listeners, and the microtasks after them, have run.
struct bgfetch_error *bgfetch_event_end_dispatch(bgfetch_handle event);

// Not all listeners ran: `why` is a bgfetch_not_handled, and `reason` a sentence for people.
struct bgfetch_error *bgfetch_event_not_handled(bgfetch_handle event,
                                                uint32_t why,
                                                struct bgfetch_str reason);

// The worker ended. If the event is still active, it ends, and is fired again later.
struct bgfetch_error *bgfetch_event_worker_terminated(bgfetch_handle event,
                                                      struct bgfetch_str reason);

// `updateUI()`, with `title` and `icons` in JSON, each optional: answered when the update is kept.
struct bgfetch_error *bgfetch_event_update_ui(bgfetch_handle event,
                                              uint64_t token,
                                              struct bgfetch_str options);

// Frees an event. If it was not dispatched, the worker counts as crashed. 0 is fine.
struct bgfetch_error *bgfetch_event_free(bgfetch_handle event);

// The attributes, as they are since the last BGFETCH_UPDATE that was taken.
//
// # Safety
//
// `attributes` points to a struct that was initialized with BGFETCH_ATTRIBUTES_INIT.
struct bgfetch_error *bgfetch_fetch_attributes(bgfetch_handle fetch,
                                               struct bgfetch_attributes *attributes);

// What is known of a record now.
//
// # Safety
//
// `info` points to a struct that was initialized with BGFETCH_RECORD_INFO_INIT.
struct bgfetch_error *bgfetch_record_get_info(bgfetch_handle record,
                                              struct bgfetch_record_info *info);

// Lets a new fetch begin whose call had `"held": true`.
struct bgfetch_error *bgfetch_fetch_start(bgfetch_handle fetch);

// The `abort()` method: answered by whether it was active.
struct bgfetch_error *bgfetch_fetch_abort(bgfetch_handle fetch, uint64_t token);

// The `matchAll()` method: answered by handles of records, in the order of requests. `query` is a request in JSON, or empty
// for all; `options` are `ignoreSearch`, `ignoreMethod` and `ignoreVary` in JSON, or empty. With `first`, it is the
// `match()` method: one record at most.
struct bgfetch_error *bgfetch_fetch_match_all(bgfetch_handle fetch,
                                              uint64_t token,
                                              struct bgfetch_str query,
                                              struct bgfetch_str options,
                                              bool first);

// Holds the records after the settling event, so that the user's next fetch of the same requests continues where this one
// stopped; or releases them.
struct bgfetch_error *bgfetch_fetch_hold_records(bgfetch_handle fetch,
                                                 uint64_t token,
                                                 bool hold);

// Makes what was exported of the fetch survive a loss of power.
struct bgfetch_error *bgfetch_fetch_sync_exports(bgfetch_handle fetch, uint64_t token);

// Frees a fetch. The background fetch goes on. 0 is fine.
struct bgfetch_error *bgfetch_fetch_free(bgfetch_handle fetch);

// The request without its body: answered by a request.
struct bgfetch_error *bgfetch_record_request(bgfetch_handle record, uint64_t token);

// The `responseReady` promise: answered by a response when its head has arrived.
struct bgfetch_error *bgfetch_record_response_ready(bgfetch_handle record, uint64_t token);

// The body of the request: a stream that the host frees, or 0 if it has none.
struct bgfetch_error *bgfetch_record_request_body(bgfetch_handle record, bgfetch_handle *stream);

// Makes the finished body a file, which must not exist: `how` is BGFETCH_COPY or BGFETCH_LINK.
struct bgfetch_error *bgfetch_record_export(bgfetch_handle record,
                                            uint64_t token,
                                            struct bgfetch_str path,
                                            uint32_t how);

// Whether a file has exactly the bytes of the finished body, as after an export that a crash interrupted: answered by yes
// or no.
struct bgfetch_error *bgfetch_record_is_exported_at(bgfetch_handle record,
                                                    uint64_t token,
                                                    struct bgfetch_str path);

// Frees a record. 0 is fine.
struct bgfetch_error *bgfetch_record_free(bgfetch_handle record);

// The head of a message's response has arrived.
//
// # Safety
//
// `start` points to a struct that was initialized with BGFETCH_RESPONSE_START_INIT, and what it points to is there
// during the call.
struct bgfetch_error *bgfetch_network_head(bgfetch_handle message,
                                           struct bgfetch_response_start *start);

// Bytes of a response's body: all of them are taken, or none if there is no credit for them. Up to 192 KiB always get
// their credit in the end.
//
// # Safety
//
// `data` points to `length` bytes.
struct bgfetch_error *bgfetch_network_bytes(bgfetch_handle message,
                                            const uint8_t *data,
                                            size_t length);

// The body of a message: a stream that the host frees, or 0 if it has none.
struct bgfetch_error *bgfetch_network_body(bgfetch_handle message, bgfetch_handle *stream);

// For how many bytes of the response's body there is credit. There is none before the engine has judged the head.
struct bgfetch_error *bgfetch_network_credit(bgfetch_handle message,
                                             size_t *credit);

// The response is complete. Frees the message.
struct bgfetch_error *bgfetch_network_end(bgfetch_handle message);

// There is no response, or no more of it. `why` is a bgfetch_fault, and `reason` a sentence for people. `sent` is whether
// the server may have acted on the request; if that is not known, it is true. Frees the message.
struct bgfetch_error *bgfetch_network_fault(bgfetch_handle message,
                                            uint32_t why,
                                            bool sent,
                                            struct bgfetch_str reason);

// Opens a queue, which has two threads of its own.
struct bgfetch_error *bgfetch_queue_open(bgfetch_handle *queue);

// The file descriptor that can be read as long as there are completions: for poll, GLib, libuv and the like. The
// library reads it, and closes it with the queue. -1 for a bad handle.
int32_t bgfetch_queue_fd(bgfetch_handle queue);

// The next completion. Waits for it for at most `timeout_ms` milliseconds, or for ever if that is negative. If there is
// none within this time, its kind is BGFETCH_NONE. What `completion` contained before is cleared first.
//
// # Safety
//
// `completion` points to a `bgfetch_completion` that was initialized with BGFETCH_COMPLETION_INIT.
struct bgfetch_error *bgfetch_queue_next(bgfetch_handle queue,
                                         int64_t timeout_ms,
                                         struct bgfetch_completion *completion);

// Frees what a completion contains, and says that the host has done with it: the next update of a fetch comes after
// that. Clearing it again, or before it was used, is fine.
//
// # Safety
//
// `completion` is NULL, or points to a `bgfetch_completion` that was initialized with BGFETCH_COMPLETION_INIT.
void bgfetch_completion_clear(struct bgfetch_completion *completion);

// Closes a queue with everything that belongs to it. Engines end as in a crash, which loses nothing that is durable;
// close them before if there is time. All handles are freed. Returns when the stores can be opened again and the
// threads have ended, or after some seconds if one of them is busy.
struct bgfetch_error *bgfetch_queue_close(bgfetch_handle queue);

// How many handles of the queue there are, with its own: to find leaks. 0 after it was closed.
size_t bgfetch_queue_handles(bgfetch_handle queue);

// Registers a registration with an active worker, as must be done at each start for every registration that exists:
// answered by a handle. It acts for a page at its scope, until bgfetch_registration_set_principal says otherwise, and
// its events are held until bgfetch_registration_start.
struct bgfetch_error *bgfetch_registration_register(bgfetch_handle engine,
                                                    uint64_t token,
                                                    struct bgfetch_str storage_key,
                                                    struct bgfetch_str scope);

// Another handle for a registration that was registered with the engine: for a page or worker with policies of its own.
struct bgfetch_error *bgfetch_registration_open(bgfetch_handle engine,
                                                struct bgfetch_str storage_key,
                                                struct bgfetch_str scope,
                                                bgfetch_handle *registration);

// Sets on whose behalf fetches are made from now on, in JSON: `"user"`, for whom CORS and similar checks do not apply, or
// `{ "page": { "origin": "https://a.example", "top_level_origin": "https://a.example", "secure_context": true } }` with
// more policies as in the guide.
struct bgfetch_error *bgfetch_registration_set_principal(bgfetch_handle registration,
                                                         struct bgfetch_str principal);

// Takes the registration's events from now on, and first those that wait: each comes as BGFETCH_EVENT. They come until
// the handle is freed, or another one of the same registration is started.
struct bgfetch_error *bgfetch_registration_start(bgfetch_handle registration,
                                                 uint64_t token);

// The `fetch()` method: answered by a fetch when it is durable. The arguments are JSON, such as
// `{ "id": "film", "requests": ["https://a.example/film"], "title": "A film", "downloadTotal": 1000000 }`. A request is
// a URL or an object with `url`, and with `method`, `headers` (pairs), `body` (a text or the number of a source) and the
// other members of a request. With `"held": true` the fetch waits for bgfetch_fetch_start.
struct bgfetch_error *bgfetch_registration_fetch(bgfetch_handle registration,
                                                 uint64_t token,
                                                 struct bgfetch_str call);

// Checks one request, without its body, of a call of `fetch()`, which checks it again.
struct bgfetch_error *bgfetch_check_request(struct bgfetch_str request);

// The `get()` method: answered by a fetch, or by nothing if no active fetch has the id.
struct bgfetch_error *bgfetch_registration_get(bgfetch_handle registration,
                                               uint64_t token,
                                               struct bgfetch_str id);

// The `getIds()` method: answered by JSON.
struct bgfetch_error *bgfetch_registration_get_ids(bgfetch_handle registration, uint64_t token);

// The registration's fetch with that key, also if it has finished: answered by a fetch or by nothing.
struct bgfetch_error *bgfetch_registration_find(bgfetch_handle registration,
                                                uint64_t token,
                                                uint64_t key);

// Sets whether the registration has an active worker. Without one, `fetch()` is refused and events wait.
struct bgfetch_error *bgfetch_registration_set_active_worker(bgfetch_handle registration,
                                                             uint64_t token,
                                                             bool active);

// Removes a registration that was unregistered, or whose data was cleared: its fetches end without events, and their
// bytes are deleted.
struct bgfetch_error *bgfetch_registration_unregister(bgfetch_handle registration,
                                                      uint64_t token);

// Frees a registration. It stays registered. 0 is fine.
struct bgfetch_error *bgfetch_registration_free(bgfetch_handle registration);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BGFETCH_H */

/* Structs that are ready for use. */
#define BGFETCH_COMPLETION_INIT {.size = sizeof(bgfetch_completion)}
#define BGFETCH_ATTRIBUTES_INIT {.size = sizeof(bgfetch_attributes)}
#define BGFETCH_RECORD_INFO_INIT {.size = sizeof(bgfetch_record_info)}
#define BGFETCH_RESPONSE_START_INIT {.size = sizeof(bgfetch_response_start)}

/* A text that ends with a zero byte, as an argument. */
static inline bgfetch_str bgfetch_text(const char *text) {
  bgfetch_str str = {text, text == NULL ? 0 : strlen(text)};
  return str;
}
