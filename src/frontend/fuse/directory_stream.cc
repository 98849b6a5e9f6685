#include "frontend/fuse/directory_stream.h"

#include <algorithm>

#include "frontend/fuse/protocol.h"

namespace forebay::fuse {

void DirectoryStream::rewind() {
  anchors_.clear();
  anchors_.emplace(0, Anchor{});
  stride_ = 1;
  page_ = nullptr;
  end_ = UINT64_MAX;
}

Place DirectoryStream::seek(std::uint64_t index) const {
  if (index >= end_) return EndOfDirectory{};
  if (page_ && index >= page_->first && index - page_->first < page_->entries.size()) return page_;
  const auto anchor = std::prev(anchors_.upper_bound(index));  // index 0 is always an anchor
  return WantPage{.first = anchor->first, .cursor = anchor->second.cursor};
}

Result<std::uint64_t> DirectoryStream::arrived(const WantPage& want, client::DirectoryPage page, TimePoint now) {
  const auto anchor = anchors_.find(want.first);
  if (anchor == anchors_.end() || anchor->second.cursor != want.cursor) return 0;  // rewound meanwhile
  if (!page.next_cursor.empty() && page.next_cursor == want.cursor)
    return fail(Code::Internal, "the listing's next page is the page itself");

  const std::size_t given = page.entries.size();
  std::erase_if(page.entries, [](const client::DirectoryEntry& entry) { return !nameFits(entry.name); });
  const std::uint64_t hidden = page.hidden + (given - page.entries.size());

  const std::uint64_t next = want.first + page.entries.size();
  if (page.next_cursor.empty()) {
    end_ = next;
  } else {
    const std::uint64_t number = anchor->second.page;
    if (next != want.first && number % stride_ != 0) anchors_.erase(anchor);  // its page is at hand now
    anchors_.insert_or_assign(next,
                              Anchor{.cursor = page.next_cursor, .page = next == want.first ? number : number + 1});
    thinAnchors(next);
  }
  if (page.entries.empty()) return hidden;
  page_ = std::make_shared<const Page>(Page{.first = want.first,
                                            .cursor = want.cursor,
                                            .entries = std::move(page.entries),
                                            .good_until = now + std::min<Duration>(page.ttl, std::chrono::hours(24))});
  return hidden;
}

void DirectoryStream::thinAnchors(std::uint64_t keep) {
  const auto drop_off_stride = [&] {
    std::erase_if(anchors_, [&](const auto& entry) { return entry.first != keep && entry.second.page % stride_ != 0; });
  };
  if (anchors_.size() <= kMaxAnchors) return;
  drop_off_stride();  // left by seeks here and there
  while (anchors_.size() > kMaxAnchors) {
    stride_ *= 2;
    drop_off_stride();
  }
}

}  // namespace forebay::fuse
