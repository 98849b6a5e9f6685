// The limit of a cold listing: an origin's pages by libcurl one after another, read by pugixml, with nothing around
// them.
//
//   forebay_limit_raw_list --url "http://127.0.0.1:1/account/bench?restype=container&comp=list&prefix=d/&delimiter=/"
//
// Takes name, size, ETag and time of each blob, and keeps the last ones only. With --ahead one thread asks for the next
// page while another reads the last. With --search the text is searched for the four, in the order in which Azure
// writes them, and not read as XML: names that are escaped come out wrong. Prints one line of JSON; a request is a
// name.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstring>
#include <pugixml.hpp>
#include <semaphore>
#include <thread>

#include "limits/get.h"

namespace forebay::bench {
namespace {

// Where the next page begins, cut out of the text without reading it: markers hold nothing that XML would write
// otherwise.
std::string markerOf(std::string_view page) {
  constexpr std::string_view kBefore = "<NextMarker>", kAfter = "</NextMarker>";
  const std::size_t before = page.rfind(kBefore);
  if (before == std::string_view::npos) return {};
  const std::size_t from = before + kBefore.size();
  return std::string(page.substr(from, page.find(kAfter, from) - from));
}

std::string escaped(const std::string& marker) {
  char* const text = curl_easy_escape(nullptr, marker.data(), static_cast<int>(marker.size()));
  std::string copy = text;
  curl_free(text);
  return copy;
}

class Lister {
 public:
  explicit Lister(std::string url) : url_(std::move(url)) {}

  // The next page's text into `page`; false after the last one.
  bool fetch(std::string& page) {
    if (ended_) return false;
    page.clear();
    get_.prepare(marker_.empty() ? url_ : url_ + "&marker=" + escaped(marker_), [&](Bytes bytes) {
      page.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return true;
    });
    get_.perform();
    marker_ = markerOf(page);
    ended_ = marker_.empty();
    return true;
  }

 private:
  Get get_;
  const std::string url_;
  std::string marker_;
  bool ended_ = false;
};

class Names {
 public:
  explicit Names(bool search) : search_(search) {}
  void read(std::string& page) { search_ ? search(page) : parse(page); }
  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void parse(std::string& page) {
    const auto parsed = document_.load_buffer_inplace(page.data(), page.size(), pugi::parse_minimal);
    if (!parsed) die(parsed.description());
    for (const pugi::xml_node& blob : document_.child("EnumerationResults").child("Blobs").children("Blob")) {
      name_ = blob.child_value("Name");
      const pugi::xml_node about = blob.child("Properties");
      version_ = about.child_value("Etag");
      time_ = about.child_value("Last-Modified");
      bytes_ += std::strtoull(about.child_value("Content-Length"), nullptr, 10);
      ++count_;
    }
  }
  void search(std::string_view page) {
    std::string_view text;
    while (take(page, "<Blob><Name>", text)) {
      name_ = text;
      if (!take(page, "<Last-Modified>", text)) die("a blob without a time");
      time_ = text;
      if (!take(page, "<Etag>", text)) die("a blob without an ETag");
      version_ = text;
      if (!take(page, "<Content-Length>", text)) die("a blob without a size");
      std::uint64_t size = 0;
      std::from_chars(text.data(), text.data() + text.size(), size);
      bytes_ += size;
      ++count_;
    }
  }

  // The text behind `before`, and `page` goes on behind it. False: there is none any more.
  static bool take(std::string_view& page, std::string_view before, std::string_view& text) {
    const void* const found = memmem(page.data(), page.size(), before.data(), before.size());
    if (found == nullptr) return false;
    page.remove_prefix(static_cast<std::size_t>(static_cast<const char*>(found) - page.data()) + before.size());
    text = page.substr(0, page.find('<'));
    page.remove_prefix(text.size());
    return true;
  }

  const bool search_;
  pugi::xml_document document_;
  std::string name_, version_, time_;
  std::uint64_t count_ = 0, bytes_ = 0;
};

void inTurns(Lister& lister, Names& names) {
  for (std::string page; lister.fetch(page);) names.read(page);
}

void ahead(Lister& lister, Names& names) {
  std::string pages[2];
  bool more[2] = {};
  std::counting_semaphore<2> empty(2), full(0);
  std::thread fetcher([&] {
    for (std::size_t i = 0;; i ^= 1) {
      empty.acquire();
      const bool got = more[i] = lister.fetch(pages[i]);
      full.release();
      if (!got) return;
    }
  });
  for (std::size_t i = 0;; i ^= 1) {
    full.acquire();
    if (!more[i]) break;
    names.read(pages[i]);
    empty.release();
  }
  fetcher.join();
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  using namespace forebay::bench;  // NOLINT(google-build-using-namespace)
  CLI::App app("The limit of a cold listing");
  std::string url;
  bool with_ahead = false, search = false;
  app.add_option("--url", url)->required();
  app.add_flag("--ahead", with_ahead, "Ask for the next page while the last is read");
  app.add_flag("--search", search, "Search the text, and don't read it as XML");
  CLI11_PARSE(app, argc, argv);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  Lister lister(url);
  Names names(search);
  Meter meter({});
  with_ahead ? ahead(lister, names) : inTurns(lister, names);
  meter.stop();
  meter.print(names.bytes(), names.count());
  return 0;
}
