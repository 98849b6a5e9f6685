#include "client/answers.h"

namespace forebay::client {

Error notAnswered() {
  return {Code::Corrupt, "the node's answer isn't one to this question", 0};
}

Result<Attributes> attributesOf(const wire::pb::Resolved& item) {
  if (item.has_failure()) return fail(wire::fromMessage(item.failure()));
  if (!item.directory() && !item.has_plan()) return fail(notAnswered());
  Attributes attributes;
  attributes.directory = item.directory();
  attributes.ttl = std::chrono::milliseconds(item.ttl_ms());
  if (!item.directory()) attributes.plan = wire::fromMessage(item.plan());
  return attributes;
}

DirectoryPage pageOf(wire::pb::ListReply& reply) {
  DirectoryPage page;
  page.next_cursor = reply.next_cursor();
  page.hidden = reply.hidden();
  page.ttl = std::chrono::milliseconds(reply.ttl_ms());
  page.entries.reserve(static_cast<std::size_t>(reply.entries_size()));
  for (auto& e : *reply.mutable_entries())
    page.entries.push_back({.name = std::move(*e.mutable_name()),
                            .directory = e.directory(),
                            .size = e.size(),
                            .version = std::move(*e.mutable_version()),
                            .mtime_ns = e.mtime_ns(),
                            .md5 = std::move(*e.mutable_md5())});
  return page;
}

}  // namespace forebay::client
