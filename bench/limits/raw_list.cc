// The limit of a cold listing: an origin's pages by libcurl one after another, read by pugixml, with nothing around
// them.
//
//   forebay_limit_raw_list --url "http://127.0.0.1:1/account/bench?restype=container&comp=list&prefix=d/&delimiter=/"
//
// Takes name, size, ETag and time of each blob, and keeps the last ones only. With --ahead one thread asks for the next
// page while another reads the last. Prints one line of JSON; a request is a name.
#include <CLI/CLI.hpp>
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
  void read(std::string& page) {
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
  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
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
  bool with_ahead = false;
  app.add_option("--url", url)->required();
  app.add_flag("--ahead", with_ahead, "Ask for the next page while the last is read");
  CLI11_PARSE(app, argc, argv);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  Lister lister(url);
  Names names;
  Meter meter({});
  with_ahead ? ahead(lister, names) : inTurns(lister, names);
  meter.stop();
  meter.print(names.bytes(), names.count());
  return 0;
}
