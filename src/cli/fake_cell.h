// A Cell in memory, for tests of the commands: objects by name, faults by name.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "cli/cell.h"
#include "wire/messages.h"

namespace forebay::cli {

class FakeCell : public Cell {
 public:
  // What tests set up, before the calls.
  std::map<std::string, std::string> objects;  // "MOUNT/PATH" -> content
  std::map<std::string, Error> broken;         // names whose resolve, list, read, load fail
  std::size_t page = 2;                        // entries per page of a listing
  std::uint32_t chunk_bits = core::kMinChunkBits;
  wire::pb::StatusReply status_reply;
  std::optional<std::map<std::string, std::string>> origin_objects;
  std::map<std::string, std::string> origin_md5;  // "MOUNT/PATH" -> 16 bytes
  std::uint32_t nodes = 3;
  std::uint32_t most_where_chunks = 4'000;  // that an answer holds
  std::map<core::NodeId, std::string> silent_nodes;
  wire::pb::RefreshReply refresh_reply;
  wire::pb::EvictReply evict_reply;

  // What they look at, afterwards.
  std::map<std::string, std::uint64_t> loaded;  // bytes by name, of all copies
  std::size_t resolve_calls = 0;
  std::vector<std::string> refreshed, evicted;  // paths

  Result<std::vector<Result<client::Attributes>>> resolve(const std::string& mount, std::span<const std::string> paths,
                                                          bool object_only) override {
    const std::lock_guard lock(mutex_);
    ++resolve_calls;
    std::vector<Result<client::Attributes>> answers;
    for (const std::string& path : paths) answers.push_back(resolveOne({.mount = mount, .path = path}, object_only));
    return answers;
  }

  Result<client::DirectoryPage> list(const ObjectName& directory, const std::string& cursor, bool) override {
    if (const Error* error = fault(directory.text())) return fail(*error);
    const std::string prefix = directory.text() + "/";
    std::map<std::string, client::DirectoryEntry> entries;
    for (const auto& [name, content] : objects) {
      if (!name.starts_with(prefix)) continue;
      const std::string rest = name.substr(prefix.size());
      const std::size_t slash = rest.find('/');
      const std::string first = rest.substr(0, slash);
      if (slash != std::string::npos) {
        entries[first] = {.name = first, .directory = true, .version = {}};
      } else if (!entries.contains(first)) {
        entries[first] = {.name = first, .size = content.size(), .version = "v1"};
      }
    }
    client::DirectoryPage made;
    for (auto at = entries.upper_bound(cursor); at != entries.end(); ++at) {
      if (made.entries.size() == page) {
        made.next_cursor = made.entries.back().name;
        break;
      }
      made.entries.push_back(at->second);
    }
    return made;
  }

  // Of `origin_objects`, where a test gives them: what was changed behind the cell's back.
  Result<client::DirectoryPage> listOrigin(const ObjectName& directory, const std::string& cursor) override {
    if (origin_objects) std::swap(objects, *origin_objects);
    auto made = list(directory, cursor, true);
    if (origin_objects) std::swap(objects, *origin_objects);
    if (!made) return made;
    for (auto& entry : made->entries)
      if (const auto md5 = origin_md5.find(directory.below(entry.name).text()); md5 != origin_md5.end())
        entry.md5 = md5->second;
    return made;
  }

  Result<std::size_t> read(const std::string& mount, const core::Plan& plan, std::uint64_t offset,
                           MutableBytes into) override {
    const std::string name = mount + "/" + plan.path;
    if (const Error* error = fault(name + "@" + std::to_string(offset))) return fail(*error);
    const std::string& content = objects.at(name);
    const std::size_t n = std::min<std::size_t>(into.size(), content.size() - offset);
    std::memcpy(into.data(), content.data() + offset, n);
    return n;
  }

  // A chunk of each object per call; a node of `silent_nodes` answers when others stand in for it.
  Result<wire::pb::LoadReply> load(std::span<const core::Plan> plans, const client::LoadTarget& target) override {
    const std::lock_guard lock(mutex_);
    wire::pb::LoadReply reply;
    const std::uint64_t reachable = nodes - target.without.size();
    const std::uint64_t copies = target.copies == 0 ? reachable : std::min<std::uint64_t>(target.copies, reachable);
    for (const auto& [id, name] : silent_nodes) {
      if (std::ranges::find(target.without, id) != target.without.end()) continue;
      auto& silent = *reply.add_silent();
      silent.set_id(id);
      silent.set_name(name);
    }
    for (const core::Plan& plan : plans) *reply.add_items() = loadChunk(plan, copies, reply.silent_size() > 0);
    return reply;
  }

  Result<client::Where> where(const ObjectName& object) override {
    if (!objects.contains(object.text())) return fail(Code::NotFound, "no such object");
    client::Where answer{.plan = planOf(object), .chunks = {}, .unreachable = {"c"}};
    for (std::uint32_t i = 0; i < std::min(answer.plan.chunks(), most_where_chunks); ++i) {
      answer.chunks.push_back({.chunk = i,
                               .slot = static_cast<core::Slot>(7 + i),
                               .bytes = answer.plan.chunkLength(i),
                               .owners = {"a", "b"},
                               .holders = {}});
    }
    if (!answer.chunks.empty()) answer.chunks[0].holders = {{"a", answer.chunks[0].bytes}, {"b", 1}};
    return answer;
  }

  Result<wire::pb::StatusReply> status(bool) override { return status_reply; }

  Result<wire::pb::RefreshReply> refresh(const std::string& mount, std::span<const std::string> paths) override {
    if (const Error* error = fault(mount)) return fail(*error);
    for (const std::string& path : paths) refreshed.push_back(mount + "/" + path);
    return refresh_reply;
  }
  Result<wire::pb::EvictReply> evict(const std::string& mount, std::span<const std::string> paths) override {
    if (const Error* error = fault(mount)) return fail(*error);
    for (const std::string& path : paths) evicted.push_back(mount + "/" + path);
    return evict_reply;
  }

 private:
  const Error* fault(const std::string& name) const {
    const auto found = broken.find(name);
    return found == broken.end() ? nullptr : &found->second;
  }
  core::Plan planOf(const ObjectName& name) const {
    return {.mount = core::mountIdOf(name.mount),
            .path = name.path,
            .version = "v1",
            .key = {},
            .size = objects.at(name.text()).size(),
            .chunk_bits = chunk_bits,
            .mtime_ns = 1'700'000'000'000'000'000};
  }
  Result<client::Attributes> resolveOne(const ObjectName& name, bool object_only) const {
    if (const Error* error = fault(name.text())) return fail(*error);
    const std::string below = name.text() + "/";
    const auto first = objects.lower_bound(below);
    if (!object_only && first != objects.end() && first->first.starts_with(below)) {
      return client::Attributes{.directory = true, .plan = {}};
    }
    if (!objects.contains(name.text())) return fail(Code::NotFound, "no such object");
    return client::Attributes{.directory = false, .plan = planOf(name)};
  }
  wire::pb::Loaded loadChunk(const core::Plan& plan, std::uint64_t copies, bool silence) {
    std::string name;
    for (const auto& [known, content] : objects)
      if (known.ends_with("/" + plan.path) && core::mountIdOf(known.substr(0, known.find('/'))) == plan.mount)
        name = known;
    wire::pb::Loaded item;
    std::uint64_t& bytes = loaded[name];
    item.set_wanted_bytes(plan.size * copies);
    if (const Error* error = fault(name + "@" + std::to_string(bytes / copies))) {
      *item.mutable_failure() = wire::toMessage(*error);
      item.set_over(true);
    } else {
      bytes = std::min(bytes + plan.chunkSize() * copies, item.wanted_bytes());
      item.set_over(bytes == item.wanted_bytes() && !silence);
    }
    item.set_bytes(bytes);
    return item;
  }

  std::mutex mutex_;
};

// A terminal whose output is kept.
struct Output {
  std::string out, err;
  int out_error = 0;  // errno of writing to stdout
  Terminal::Options options(bool json = false, bool terminal = false, unsigned width = 80) {
    return {.out =
                [this](std::string_view text) {
                  if (out_error == 0) out += text;
                  return out_error;
                },
            .err =
                [this](std::string_view text) {
                  err += text;
                  return 0;
                },
            .out_is_terminal = terminal,
            .json = json,
            .width = width};
  }
};

}  // namespace forebay::cli
