#include "node/origin_listing.h"

#include <algorithm>

#include "base/bytes.h"
#include "node/directory_view.h"
#include "wire/many_parts.h"

namespace forebay::node {
namespace {

constexpr std::uint32_t kNames = 5'000;                // what Azure gives at most
constexpr std::size_t kMaxReplyBytes = 1'000 * 1'000;  // of a frame's 1 MiB

void fill(wire::pb::ListReply& reply, const origin::ListPage& page) {
  reply.set_next_cursor(page.next);
  for (const auto& entry : page.entries) {
    auto& e = *reply.add_entries();
    e.set_name(entry.name);
    e.set_directory(entry.directory);
    e.set_size(entry.info.size);
    e.set_version(entry.info.version);
    e.set_mtime_ns(entry.info.mtime_ns);
    if (entry.md5) e.set_md5(entry.md5->data(), entry.md5->size());
  }
}

struct Listing {
  Mount& mount;
  std::string prefix, next;
  TimePoint deadline;
  io::Reply reply;
};

// With half of the names where a page of them doesn't fit a frame.
void ask(const std::shared_ptr<Listing>& listing, std::uint32_t max) {
  listing->mount.source().list(
      listing->prefix, listing->next, max, listing->deadline, {}, [listing, max](Result<origin::ListPage> page) {
        const wire::OfManyParts<wire::pb::ListReply> reply;
        if (!page) {
          *reply->mutable_failure() = wire::toMessage(page.error());
        } else {
          std::ranges::stable_sort(page->entries, keyBefore);  // S3 names objects first, prefixes after them
          fill(*reply, *page);
          if (reply->ByteSizeLong() > kMaxReplyBytes && max > 1) return ask(listing, max / 2);
        }
        (void)listing->reply.send(wire::MessageType::ListReply, *reply);
      });
}

}  // namespace

void listOrigin(Mount& mount, const wire::pb::ListRequest& request, TimePoint deadline, io::Reply reply) {
  const TimePoint latest = io::Reactor::now() + mount.request_timeout;
  const std::uint32_t max = request.max_entries() == 0 ? kNames : std::min(request.max_entries(), kNames);
  ask(std::make_shared<Listing>(Listing{.mount = mount,
                                        .prefix = request.path().empty() ? "" : request.path() + "/",
                                        .next = request.cursor(),
                                        .deadline = std::min(deadline, latest),
                                        .reply = std::move(reply)}),
      max);
}

}  // namespace forebay::node
