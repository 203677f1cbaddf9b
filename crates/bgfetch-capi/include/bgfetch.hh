// Background Fetch for C++20: owners for what bgfetch.h has handles of. It is a header alone, needs no exceptions and
// no RTTI, and hides nothing: everything can also be done with the functions in C, which bgfetch.h documents.
//
// Objects free their handles when they are destroyed, and can be moved but not copied. The answer to a call with a
// token comes from the queue; what a completion brings is taken with `take`:
//
//   auto queue = bgfetch::queue::open();
//   if (!queue) return fail(queue.error());
//   if (auto error = queue->open_engine(1, R"({ "ephemeral": true })")) return fail(error);
//   bgfetch::completion completion;
//   while (!queue->next(completion)) {
//     if (completion->kind == BGFETCH_CALL_DONE && completion->token == 1 && !completion->error)
//       engine = completion.take<bgfetch::engine>();
//     ...
//   }
#ifndef BGFETCH_HH
#define BGFETCH_HH

#include <bgfetch.h>

#include <cassert>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

namespace bgfetch {

/// A text as an argument. It is borrowed for the call.
inline bgfetch_str str(std::string_view text) { return {text.data() ? text.data() : "", text.size()}; }
inline bgfetch_str str_or_null(std::optional<std::string_view> text) {
  return text ? str(*text) : bgfetch_str{nullptr, 0};
}

/// A text of the library. It lives as long as what it is part of.
inline std::string_view view(bgfetch_str text) {
  return text.data ? std::string_view(text.data, text.length) : std::string_view();
}

/// Why a call failed, or that it did not: true is an error.
class [[nodiscard]] error {
 public:
  error() = default;
  explicit error(bgfetch_error *owned) : owned_(owned) {}
  error(error &&other) noexcept : owned_(std::exchange(other.owned_, nullptr)) {}
  error &operator=(error &&other) noexcept {
    std::swap(owned_, other.owned_);
    return *this;
  }
  ~error() { bgfetch_error_free(owned_); }

  explicit operator bool() const { return owned_ != nullptr; }
  /// One of BGFETCH_ERROR_…, or 0.
  std::uint32_t code() const { return bgfetch_error_code(owned_); }
  std::string_view name() const { return view(bgfetch_error_name(owned_)); }
  std::string_view message() const { return view(bgfetch_error_message(owned_)); }
  std::string_view exception() const { return view(bgfetch_error_exception(owned_)); }

 private:
  bgfetch_error *owned_ = nullptr;
};

/// A value, or why there is none, like std::expected.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(bgfetch::error why) : state_(std::in_place_index<1>, std::move(why)) { assert(error()); }

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  /// The value. There must be one.
  T &operator*() & { return value(); }
  T &&operator*() && { return std::move(value()); }
  T *operator->() { return &value(); }
  T value_or(T other) && { return has_value() ? std::move(value()) : std::move(other); }
  /// The error. There must be one.
  bgfetch::error &error() {
    assert(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  T &value() {
    assert(has_value());
    return *std::get_if<0>(&state_);
  }
  std::variant<T, bgfetch::error> state_;
};

/// The owner of a handle.
template <bgfetch_error *(*Free)(bgfetch_handle)>
class owner {
 public:
  owner() = default;
  explicit owner(bgfetch_handle handle) : handle_(handle) {}
  owner(owner &&other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  owner &operator=(owner &&other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~owner() {
    if (handle_) bgfetch_error_free(Free(handle_));
  }

  bgfetch_handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != 0; }
  /// Gives up the handle, which has to be freed otherwise.
  bgfetch_handle release() { return std::exchange(handle_, 0); }
  void reset() { *this = owner(); }

 private:
  bgfetch_handle handle_ = 0;
};

/// Makes an object of a handle that a function in C puts somewhere.
template <class T, class Call>
result<T> made(Call call) {
  bgfetch_handle handle = 0;
  if (error failed{call(&handle)}) return failed;
  return T(handle);
}

struct stream : owner<bgfetch_stream_free> {
  using owner::owner;
  error read(std::uint64_t token) { return error(bgfetch_stream_read(get(), token)); }
};

struct source : owner<bgfetch_source_free> {
  using owner::owner;
  result<std::size_t> credit() const {
    std::size_t credit = 0;
    if (error failed{bgfetch_source_credit(get(), &credit)}) return failed;
    return credit;
  }
  error write(std::span<const std::uint8_t> bytes) {
    return error(bgfetch_source_write(get(), bytes.data(), bytes.size()));
  }
  error end(std::optional<std::string_view> failure = {}) {
    return error(bgfetch_source_end(get(), str_or_null(failure)));
  }
};

struct body : owner<bgfetch_body_free> {
  using owner::owner;
  result<bgfetch_read> read(std::uint64_t offset, std::span<std::uint8_t> to) {
    bgfetch_read read{};
    if (error failed{bgfetch_body_read(get(), offset, to.data(), to.size(), &read)}) return failed;
    return read;
  }
  error read_later(std::uint64_t token, std::uint64_t offset, std::size_t limit) {
    return error(bgfetch_body_read_later(get(), token, offset, limit));
  }
  /// The length of the whole body, if it is known already.
  result<std::optional<std::uint64_t>> length() const {
    std::uint64_t length = 0;
    if (error failed{bgfetch_body_length(get(), &length)}) return failed;
    return length == UINT64_MAX ? std::nullopt : std::optional(length);
  }
};

struct record : owner<bgfetch_record_free> {
  using owner::owner;
  result<bgfetch_record_info> info() const {
    bgfetch_record_info info{};
    info.size = sizeof info;
    if (error failed{bgfetch_record_get_info(get(), &info)}) return failed;
    return info;
  }
  error request(std::uint64_t token) { return error(bgfetch_record_request(get(), token)); }
  error response_ready(std::uint64_t token) {
    return error(bgfetch_record_response_ready(get(), token));
  }
  /// The body of the request, which is empty if it has none.
  result<stream> request_body() {
    return made<stream>([&](auto *to) { return bgfetch_record_request_body(get(), to); });
  }
  error export_to(std::uint64_t token, std::string_view path, bgfetch_handover how) {
    return error(bgfetch_record_export(get(), token, str(path), how));
  }
  error is_exported_at(std::uint64_t token, std::string_view path) {
    return error(bgfetch_record_is_exported_at(get(), token, str(path)));
  }
};

struct fetch : owner<bgfetch_fetch_free> {
  using owner::owner;
  result<bgfetch_attributes> attributes() const {
    bgfetch_attributes attributes{};
    attributes.size = sizeof attributes;
    if (error failed{bgfetch_fetch_attributes(get(), &attributes)}) return failed;
    return attributes;
  }
  error start() { return error(bgfetch_fetch_start(get())); }
  error abort(std::uint64_t token) { return error(bgfetch_fetch_abort(get(), token)); }
  error match_all(std::uint64_t token, std::string_view query = {}, std::string_view options = {},
                  bool first = false) {
    return error(bgfetch_fetch_match_all(get(), token, str(query), str(options), first));
  }
  error hold_records(std::uint64_t token, bool hold) {
    return error(bgfetch_fetch_hold_records(get(), token, hold));
  }
  error sync_exports(std::uint64_t token) { return error(bgfetch_fetch_sync_exports(get(), token)); }
};

struct extension : owner<bgfetch_extension_free> {
  using owner::owner;
  /// The promise has settled. The extension is empty afterwards.
  error settle(std::optional<std::string_view> rejection = {}) {
    return error(bgfetch_extension_settle(release(), str_or_null(rejection)));
  }
};

struct event : owner<bgfetch_event_free> {
  using owner::owner;
  bool is_active() const { return bgfetch_event_is_active(get()); }
  result<extension> extend() {
    return made<extension>([&](auto *to) { return bgfetch_event_extend(get(), to); });
  }
  error end_dispatch() { return error(bgfetch_event_end_dispatch(get())); }
  error not_handled(bgfetch_not_handled why, std::string_view reason = {}) {
    return error(bgfetch_event_not_handled(get(), why, str(reason)));
  }
  error worker_terminated(std::string_view reason) {
    return error(bgfetch_event_worker_terminated(get(), str(reason)));
  }
  error update_ui(std::uint64_t token, std::string_view options) {
    return error(bgfetch_event_update_ui(get(), token, str(options)));
  }
};

struct registration : owner<bgfetch_registration_free> {
  using owner::owner;
  error set_principal(std::string_view principal) {
    return error(bgfetch_registration_set_principal(get(), str(principal)));
  }
  error start(std::uint64_t token) { return error(bgfetch_registration_start(get(), token)); }
  error fetch(std::uint64_t token, std::string_view call) {
    return error(bgfetch_registration_fetch(get(), token, str(call)));
  }
  error get_fetch(std::uint64_t token, std::string_view id) {
    return error(bgfetch_registration_get(get(), token, str(id)));
  }
  error get_ids(std::uint64_t token) { return error(bgfetch_registration_get_ids(get(), token)); }
  error find(std::uint64_t token, std::uint64_t key) {
    return error(bgfetch_registration_find(get(), token, key));
  }
  error set_active_worker(std::uint64_t token, bool active) {
    return error(bgfetch_registration_set_active_worker(get(), token, active));
  }
  error unregister(std::uint64_t token) {
    return error(bgfetch_registration_unregister(get(), token));
  }
};

struct engine : owner<bgfetch_engine_free> {
  using owner::owner;
  error close(std::uint64_t token) { return error(bgfetch_engine_close(get(), token)); }
  error register_scope(std::uint64_t token, std::string_view storage_key, std::string_view scope) {
    return error(bgfetch_registration_register(get(), token, str(storage_key), str(scope)));
  }
  result<registration> open_registration(std::string_view storage_key, std::string_view scope) {
    return made<registration>([&](auto *to) {
      return bgfetch_registration_open(get(), str(storage_key), str(scope), to);
    });
  }
  error usage(std::uint64_t token, std::string_view storage_key) {
    return error(bgfetch_engine_usage(get(), token, str(storage_key)));
  }
  error registrations(std::uint64_t token) {
    return error(bgfetch_engine_registrations(get(), token));
  }
  error clear(std::uint64_t token, std::string_view storage_key) {
    return error(bgfetch_engine_clear(get(), token, str(storage_key)));
  }
  error revoke_permission(std::uint64_t token, std::string_view storage_key) {
    return error(bgfetch_engine_revoke_permission(get(), token, str(storage_key)));
  }
  error set_limits(std::uint64_t token, std::string_view limits) {
    return error(bgfetch_engine_set_limits(get(), token, str(limits)));
  }
  error set_rate(std::uint64_t token, std::optional<std::uint64_t> rate) {
    return error(bgfetch_engine_set_rate(get(), token, rate.value_or(UINT64_MAX)));
  }
  error set_online(bool online, bool metered = false) {
    return error(bgfetch_engine_set_online(get(), online, metered));
  }
  error jobs(std::uint64_t token) { return error(bgfetch_ui_jobs(get(), token)); }
  error watch(std::uint64_t token) { return error(bgfetch_ui_watch(get(), token)); }
  error pause(std::uint64_t token, std::uint64_t key) {
    return error(bgfetch_ui_pause(get(), token, key));
  }
  error resume(std::uint64_t token, std::uint64_t key) {
    return error(bgfetch_ui_resume(get(), token, key));
  }
  error abort(std::uint64_t token, std::uint64_t key) {
    return error(bgfetch_ui_abort(get(), token, key));
  }
  error click(std::uint64_t token, std::uint64_t key) {
    return error(bgfetch_ui_click(get(), token, key));
  }
  error dismiss(std::uint64_t token, std::uint64_t key) {
    return error(bgfetch_ui_dismiss(get(), token, key));
  }
  error cap_rate(std::uint64_t token, std::uint64_t key, std::optional<std::uint64_t> rate) {
    return error(bgfetch_ui_set_rate(get(), token, key, rate.value_or(UINT64_MAX)));
  }
};

/// A message for the host's network stack. Nobody owns it: the last answer frees it, or a cancellation.
struct message {
  bgfetch_handle handle = 0;

  /// The body of the request, which is empty if it has none.
  result<stream> body() const {
    return made<stream>([&](auto *to) { return bgfetch_network_body(handle, to); });
  }
  error head(std::uint32_t status, std::span<const bgfetch_header> headers,
             std::string_view address = {}, bool decoded = false, bool multiplexed = false) const {
    bgfetch_response_start start{};
    start.size = sizeof start;
    start.status = status;
    start.headers = headers.data();
    start.header_count = headers.size();
    start.address = str(address);
    start.decoded = decoded;
    start.multiplexed = multiplexed;
    return error(bgfetch_network_head(handle, &start));
  }
  result<std::size_t> credit() const {
    std::size_t credit = 0;
    if (error failed{bgfetch_network_credit(handle, &credit)}) return failed;
    return credit;
  }
  error bytes(std::span<const std::uint8_t> bytes) const {
    return error(bgfetch_network_bytes(handle, bytes.data(), bytes.size()));
  }
  error end() const { return error(bgfetch_network_end(handle)); }
  error fault(bgfetch_fault why, bool sent, std::string_view reason) const {
    return error(bgfetch_network_fault(handle, why, sent, str(reason)));
  }
};

/// Something that happened. What its pointers point to lives until it is cleared or used for the next one.
class completion {
 public:
  completion() { raw_.size = sizeof raw_; }
  completion(completion &&other) noexcept : completion() { std::swap(raw_, other.raw_); }
  completion &operator=(completion &&other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~completion() { clear(); }

  const bgfetch_completion *operator->() const { return &raw_; }
  void clear() { bgfetch_completion_clear(&raw_); }

  /// Takes the object that a call was answered with, such as an `engine`.
  template <class T>
  T take() {
    return T(std::exchange(raw_.handle, 0));
  }
  /// Takes the event, and the fetch that it is about.
  event take_event() { return event(std::exchange(raw_.event, 0)); }
  fetch take_fetch() { return fetch(std::exchange(raw_.fetch, 0)); }
  std::span<const bgfetch_handle> handles() const { return {raw_.handles, raw_.handle_count}; }
  std::span<const bgfetch_header> headers() const { return {raw_.headers, raw_.header_count}; }
  std::span<const std::uint8_t> data() const { return {raw_.data, raw_.data_length}; }

 private:
  friend class queue;
  bgfetch_completion raw_{};
};

/// A completion queue. Destroying it ends its engines as in a crash, and frees all that belongs to it.
class queue : public owner<bgfetch_queue_close> {
 public:
  using owner::owner;
  static result<queue> open() {
    return made<queue>([](auto *to) { return bgfetch_queue_open(to); });
  }
  /// Can be read as long as there are completions.
  int fd() const { return bgfetch_queue_fd(get()); }
  /// The next completion. Its kind is BGFETCH_NONE if there is none within this time; without a time, it waits.
  error next(completion &to, std::optional<std::chrono::milliseconds> within = {}) {
    return error(bgfetch_queue_next(get(), within ? within->count() : -1, &to.raw_));
  }
  error open_engine(std::uint64_t token, std::string_view options) {
    return error(bgfetch_engine_open(get(), token, str(options)));
  }
  result<source> new_source() {
    return made<source>([&](auto *to) { return bgfetch_source_new(get(), to); });
  }
};

inline error answer_permission(bgfetch_handle token, bgfetch_permission permission) {
  return error(bgfetch_answer_permission(token, permission));
}
inline error answer_local_network(bgfetch_handle token, bool granted) {
  return error(bgfetch_answer_local_network(token, granted));
}
inline error answer_quota(bgfetch_handle token, std::uint64_t bytes) {
  return error(bgfetch_answer_quota(token, bytes));
}
inline error answer_cookies(bgfetch_handle token, std::string_view value) {
  return error(bgfetch_answer_cookies(token, str(value)));
}

}  // namespace bgfetch

#endif
