// What bgfetch.hh adds to bgfetch.h: owners, results and errors.
#include <bgfetch.hh>

#include <cstdio>
#include <cstdlib>
#include <type_traits>

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) {                                                               \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
      std::exit(1);                                                                   \
    }                                                                                 \
  } while (0)

static_assert(!std::is_copy_constructible_v<bgfetch::engine>);
static_assert(!std::is_copy_constructible_v<bgfetch::completion>);
static_assert(!std::is_copy_constructible_v<bgfetch::error>);
static_assert(std::is_nothrow_move_constructible_v<bgfetch::registration>);
static_assert(std::is_nothrow_move_assignable_v<bgfetch::queue>);

static void answer(bgfetch::queue &queue, bgfetch::completion &completion, std::uint64_t token) {
  do CHECK(!queue.next(completion));
  while (completion->kind != BGFETCH_CALL_DONE || completion->token != token);
}

int main() {
  auto opened = bgfetch::queue::open();
  CHECK(opened && opened.has_value() && opened->fd() >= 0);
  bgfetch::queue queue = *std::move(opened);
  const auto handles = [&] { return bgfetch_queue_handles(queue.get()); };
  CHECK(handles() == 1);

  auto bad = queue.open_engine(1, "{");
  CHECK(bad && bad.code() == BGFETCH_ERROR_INVALID_ARGUMENT && bad.name() == "invalid-argument");
  CHECK(!bad.message().empty() && bad.exception().empty());
  auto moved = std::move(bad);
  CHECK(moved && !bad);

  CHECK(!queue.open_engine(1, R"({ "ephemeral": true, "connectivity": "manual", "network": "host" })"));
  bgfetch::completion completion;
  answer(queue, completion, 1);
  auto engine = completion.take<bgfetch::engine>();
  CHECK(engine && completion->handle == 0);
  // What was not taken is the caller's to free; what was taken is freed once.
  CHECK(!engine.register_scope(2, "app", "https://app.test/"));
  answer(queue, completion, 2);
  auto registration = completion.take<bgfetch::registration>();
  {
    auto page = engine.open_registration("app", "https://app.test/");
    CHECK(page && handles() == 4);
    bgfetch::registration other = *std::move(page);
    CHECK(other && handles() == 4);
    other.reset();
    CHECK(!other && handles() == 3);
  }
  auto failed = engine.open_registration("app", "nowhere");
  CHECK(!failed && failed.error().code() == BGFETCH_ERROR_INVALID_URL);
  CHECK(failed.error().exception() == "TypeError");

  CHECK(!engine.set_online(false));
  CHECK(!registration.set_principal("\"user\""));
  CHECK(!registration.fetch(3, R"({ "id": "x", "requests": ["https://far.test/"] })"));
  answer(queue, completion, 3);
  auto fetch = completion.take<bgfetch::fetch>();
  bgfetch::completion kept = std::move(completion);
  CHECK(kept->token == 3 && completion->kind == BGFETCH_NONE);
  kept.clear();
  auto attributes = fetch.attributes();
  CHECK(attributes && attributes->result == BGFETCH_ACTIVE);
  CHECK(!fetch.match_all(4));
  answer(queue, completion, 4);
  CHECK(completion.handles().size() == 1);
  bgfetch::record record(completion.handles()[0]);
  auto info = record.info();
  auto body = record.request_body();
  CHECK(info && info->status == 0 && body && !*body);

  CHECK(!registration.start(5));
  CHECK(!fetch.abort(6));
  do CHECK(!queue.next(completion));
  while (completion->kind != BGFETCH_EVENT);
  bgfetch::event event = completion.take_event();
  bgfetch::fetch settled = completion.take_fetch();
  auto extension = event.extend();
  CHECK(extension && event.is_active() && !event.end_dispatch() && event.is_active());
  CHECK(!extension->settle() && !*extension && !event.is_active());
  CHECK(event.extend().error().code() == BGFETCH_ERROR_NOT_ACTIVE);

  auto source = queue.new_source();
  CHECK(source && source->credit() && *source->credit() == 0);
  const std::uint8_t byte[1] = {1};
  CHECK(source->write(byte).code() == BGFETCH_ERROR_NO_CREDIT && !source->end("no"));
  auto none = queue.next(completion, std::chrono::milliseconds(0));
  CHECK(!none);
  return 0;
}
