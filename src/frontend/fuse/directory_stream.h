// An open directory: turns the client's pages, reached by cursors, into the stable numeric offsets of readdir(3).
//
//   Place place = stream.seek(index);
//   if (auto* want = std::get_if<WantPage>(&place)) ... client.list(path, want->cursor) -> stream.arrived(*want, page)
//
// Name i of the listing has index i. Reading on continues in the page at hand; going back (seekdir) lists again from
// the nearest page whose cursor is kept, so names that come and go shift offsets within their own page at most.
// rewind() forgets all: the next read sees the directory as it is then.
//
// Memory: one page of names, and at most kMaxAnchors cursors however large the directory; with fewer kept, going back
// walks further. Threading: none; the owner locks. Pages are immutable and may be used outside the lock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "client/client.h"

namespace forebay::fuse {

struct Page {
  std::uint64_t first = 0;  // index of entries[0]
  std::string cursor;       // it was listed from
  std::vector<client::DirectoryEntry> entries;
  TimePoint good_until{};  // by the listing's time to live
};

struct WantPage {
  std::uint64_t first = 0;
  std::string cursor;
  bool operator==(const WantPage&) const = default;
};
struct EndOfDirectory {};
using Place = std::variant<std::shared_ptr<const Page>, WantPage, EndOfDirectory>;

class DirectoryStream {
 public:
  static constexpr std::uint32_t kPageNames = 4096;  // asked of the client at once: 0.5 MiB of names of ordinary length
  static constexpr std::size_t kMaxAnchors = 1024;

  DirectoryStream() { rewind(); }

  // Where the name of this index is, or what must be listed to know.
  Place seek(std::uint64_t index) const;

  // Returns how many of its names POSIX can't hold: those are left out. Internal if the listing doesn't advance.
  // A page that nobody waits for any more is ignored.
  Result<std::uint64_t> arrived(const WantPage& want, client::DirectoryPage page, TimePoint now);

  void rewind();

 private:
  struct Anchor {
    std::string cursor;
    std::uint64_t page = 0;  // which page of the directory it is
  };
  void thinAnchors(std::uint64_t keep);

  std::map<std::uint64_t, Anchor> anchors_;  // by the index of a page's first name
  std::uint64_t stride_ = 1;                 // every so many pages' anchors stay; doubled when there are too many
  std::shared_ptr<const Page> page_;
  std::uint64_t end_ = UINT64_MAX;  // names in all, once known
};

}  // namespace forebay::fuse
