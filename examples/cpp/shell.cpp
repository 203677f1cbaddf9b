// A shell of a browser: two sites whose pages download, a network stack of its own over libcurl with back-pressure, a
// permission prompt, and progress. It ends when both downloads have ended.
//
//   c++ -std=c++20 shell.cpp $(pkg-config --cflags --libs bgfetch libcurl) -o shell
//   ./shell STATE URL-OF-FIRST-SITE URL-OF-SECOND-SITE
#include <bgfetch.hh>
#include <curl/curl.h>

#include <array>
#include <iostream>
#include <map>
#include <memory>
#include <vector>

namespace {
void check(bgfetch::error error) {
  if (!error) return;
  std::cerr << "shell: " << error.message() << '\n';
  std::exit(1);
}

// One message to a server, and its response, as libcurl transfers it. When the engine has cancelled it meanwhile, its
// handle is gone; the answers then fail, which does not matter.
class transfer {
 public:
  transfer(CURLM *multi, const bgfetch::completion &start)
      : message_{start->token}, multi_(multi), url_(bgfetch::view(start->text)) {
    for (const auto &header : start.headers()) {
      const auto name = bgfetch::view(header.name), value = bgfetch::view(header.value);
      lines_ = curl_slist_append(lines_, (std::string(name) + ": " + std::string(value)).c_str());
    }
    curl_easy_setopt(easy_, CURLOPT_URL, url_.c_str());
    curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, lines_);
    curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
    curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, +[](char *bytes, size_t, size_t length, void *it) {
      return static_cast<transfer *>(it)->write({reinterpret_cast<std::uint8_t *>(bytes), length});
    });
    curl_multi_add_handle(multi_, easy_);
  }
  transfer(const transfer &) = delete;
  ~transfer() {
    curl_multi_remove_handle(multi_, easy_);
    curl_easy_cleanup(easy_);
    curl_slist_free_all(lines_);
  }

  void resume() { curl_easy_pause(easy_, CURLPAUSE_CONT); }

  void done(CURLcode code) {
    const bool sent = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST;
    const auto why = sent ? BGFETCH_FAULT_INTERRUPTED : BGFETCH_FAULT_UNREACHABLE;
    if (code == CURLE_OK) head();
    (void)(code == CURLE_OK ? message_.end() : message_.fault(why, sent, curl_easy_strerror(code)));
  }

 private:
  std::size_t write(std::span<const std::uint8_t> bytes) {
    head();
    auto credit = message_.credit();
    if (!credit) return CURL_WRITEFUNC_ERROR;
    // libcurl keeps the bytes, and its connection fills up, until `resume`.
    if (*credit < bytes.size()) return CURL_WRITEFUNC_PAUSE;
    return message_.bytes(bytes) ? CURL_WRITEFUNC_ERROR : bytes.size();
  }

  void head() {
    if (std::exchange(started_, true)) return;
    long status;
    char *address;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy_, CURLINFO_PRIMARY_IP, &address);
    std::vector<bgfetch_header> headers;
    for (curl_header *it = nullptr; (it = curl_easy_nextheader(easy_, CURLH_HEADER, -1, it));)
      headers.push_back({bgfetch::str(it->name), bgfetch::str(it->value)});
    (void)message_.head(static_cast<std::uint32_t>(status), headers, address ? address : "");
  }

  bgfetch::message message_;
  CURLM *multi_;
  CURL *easy_ = curl_easy_init();
  curl_slist *lines_ = nullptr;
  std::string url_;
  bool started_ = false;
};

class shell {
 public:
  explicit shell(std::array<std::string, 2> urls) : urls_(std::move(urls)) {}
  ~shell() { transfers_.clear(), curl_multi_cleanup(multi_); }

  int run(std::string state) {
    auto opened = bgfetch::queue::open();
    if (!opened) check(std::move(opened.error()));
    queue_ = *std::move(opened);
    check(queue_.open_engine(open, R"({ "network": "host", "permission": "ask", "directory": ")" + state + "\" }"));
    curl_waitfd descriptor{queue_.fd(), CURL_WAIT_POLLIN, 0};
    while (running_) {
      int transfers = 0, messages = 0;
      curl_multi_perform(multi_, &transfers);
      while (const CURLMsg *done = curl_multi_info_read(multi_, &messages)) ended(*done);
      // Waits for libcurl's sockets and the queue together.
      curl_multi_poll(multi_, &descriptor, 1, 1000, nullptr);
      bgfetch::completion completion;
      do {
        check(queue_.next(completion, std::chrono::milliseconds(0)));
        happened(completion);
      } while (completion->kind != BGFETCH_NONE);
    }
    return failed_ ? 1 : 0;
  }

 private:
  // The tokens of calls. Those of a site have its number added.
  enum : std::uint64_t { open = 1, close = 2, registered = 10, started = 20, fetched = 30 };

  void happened(bgfetch::completion &it) {
    const auto found = transfers_.find(it->token);
    switch (it->kind) {
      case BGFETCH_CALL_DONE: return answered(it);
      case BGFETCH_PERMISSION:
        // A browser would ask its user here.
        std::cout << "allow " << bgfetch::view(it->storage_key) << " to download? yes\n";
        return check(bgfetch::answer_permission(it->token, BGFETCH_PERMISSION_GRANTED));
      // Pages of this shell only use GET. Others have a body: `message::body`.
      case BGFETCH_FETCH_START: transfers_[it->token] = std::make_unique<transfer>(multi_, it); return;
      case BGFETCH_FETCH_CANCEL: transfers_.erase(it->token); return;
      case BGFETCH_CREDIT:  // libcurl may go on.
        if (found != transfers_.end()) found->second->resume();
        return;
      case BGFETCH_UPDATE:
        for (auto &fetch : fetches_)
          if (auto now = fetch.attributes(); fetch.get() == it->fetch && now) std::cout << now->downloaded << " bytes\n";
        return;
      case BGFETCH_EVENT: return fire(it);
      case BGFETCH_EVENT_ENDED:
        events_.erase(it->event);
        if (--left_ == 0) check(engine_.close(close));
        return;
      default: return;
    }
  }

  void answered(bgfetch::completion &it) {
    if (it->error) {
      std::cerr << "shell: " << bgfetch::view(bgfetch_error_message(it->error)) << '\n';
      std::exit(1);
    } else if (it->token == open) {
      engine_ = it.take<bgfetch::engine>();
      for (std::uint64_t site = 0; site < urls_.size(); site++)
        check(engine_.register_scope(registered + site, "site " + std::to_string(site), urls_[site]));
    } else if (it->token == close) {
      running_ = false;
    } else if (it->token >= fetched) {
      fetches_.push_back(it.take<bgfetch::fetch>());
    } else if (it->token >= registered && it->token < started) {
      const auto site = it->token - registered;
      auto &registration = registrations_[site] = it.take<bgfetch::registration>();
      check(registration.start(started + site));
      // A page of the site calls `backgroundFetch.fetch()`.
      check(registration.fetch(fetched + site, R"({ "id": "film", "requests": [")" + urls_[site] + "\"] }"));
    }
  }

  // A browser would start the site's service worker here.
  void fire(bgfetch::completion &it) {
    std::cout << bgfetch::view(it->text) << '\n';
    failed_ |= it->number != BGFETCH_EVENT_SUCCESS;
    it.take_fetch();  // and frees it
    auto event = it.take_event();
    check(event.end_dispatch());
    events_[event.get()] = std::move(event);
  }

  void ended(const CURLMsg &message) {
    transfer *it;
    curl_easy_getinfo(message.easy_handle, CURLINFO_PRIVATE, &it);
    it->done(message.data.result);
    std::erase_if(transfers_, [&](const auto &entry) { return entry.second.get() == it; });
  }

  std::array<std::string, 2> urls_;
  bgfetch::queue queue_;
  bgfetch::engine engine_;
  std::array<bgfetch::registration, 2> registrations_;
  std::vector<bgfetch::fetch> fetches_;
  std::map<bgfetch_handle, bgfetch::event> events_;
  CURLM *multi_ = curl_multi_init();
  std::map<bgfetch_handle, std::unique_ptr<transfer>> transfers_;
  std::size_t left_ = 2;
  bool running_ = true, failed_ = false;
};

}  // namespace

int main(int count, char **arguments) {
  if (count != 4) return std::cerr << "usage: shell STATE URL URL\n", 2;
  return shell({arguments[2], arguments[3]}).run(arguments[1]);
}
