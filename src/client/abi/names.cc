#include "client/abi/names.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>
#include <unordered_map>

#include "base/config_paths.h"
#include "base/hash.h"
#include "client/direct_client.h"
#include "client/node_client.h"
#include "io/reactor.h"
#include "wire/read.h"

namespace forebay::abi {

Result<Name> parseName(const char* text) {
  std::string_view rest = text == nullptr ? "" : text;
  if (rest.starts_with('/')) rest.remove_prefix(1);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  Name name{.mount = std::string(rest.substr(0, slash)), .path = {}};
  rest.remove_prefix(std::min(slash + 1, rest.size()));
  name.path = rest;
  if (name.mount.empty() || name.mount.ends_with(':')) {
    return fail(Code::InvalidArgument,
                fmt::format("\"{}\" names no object: write MOUNT/PATH, such as imagenet/train/a.tar",
                            text == nullptr ? "" : text));
  }
  return name;
}

namespace {

// The names of one request.
struct Group {
  std::string mount;
  std::vector<std::size_t> indices;
  std::vector<std::string> paths;
  std::vector<client::Rooms> into;
  std::size_t bytes = 0;
};

constexpr std::size_t kNames = 512, kGroups = 16;

// In as few requests as they fit in, of at most `most` names. An answer holds for each name its plan, about 300 bytes
// longer than the name, or an error's message of up to 1 KiB: kNames and kBytes together keep the largest within a
// frame's body of 1 MiB.
std::vector<Group> groupsOf(std::vector<Name> names, std::size_t most, Answers& answers) {
  constexpr std::size_t kBytes = 256 * kKiB;
  std::vector<Group> groups;
  std::unordered_map<std::string, std::size_t> open;  // by mount: its last group
  for (std::size_t i = 0; i < names.size(); ++i) {
    Name& name = names[i];
    if (name.path.size() > wire::kMaxPath) {
      answers[i] = fail(Code::NotFound, fmt::format("a name of {} bytes in mount {}: names have at most {}",
                                                    name.path.size(), name.mount, wire::kMaxPath));
      continue;
    }
    const auto [at, fresh] = open.try_emplace(name.mount, groups.size());
    const bool full =
        !fresh && (groups[at->second].paths.size() == most || groups[at->second].bytes + name.path.size() > kBytes);
    if (full) at->second = groups.size();
    if (fresh || full) groups.push_back({.mount = std::move(name.mount), .indices = {}, .paths = {}, .into = {}});
    Group& group = groups[at->second];
    group.bytes += name.path.size();
    group.indices.push_back(i);
    group.paths.push_back(std::move(name.path));
    group.into.push_back(std::move(name.into));
  }
  return groups;
}

}  // namespace

void resolve(const Asked& asked, std::vector<Name> names, client::ResolveOptions options, Answered answered) {
  struct State {
    Answers answers;
    std::size_t open;
    Answered answered;
  };
  auto state = std::make_shared<State>();
  state->answers.assign(names.size(), fail(Code::Internal, "not answered"));
  // So few that the first are copied while others are looked for, and no more requests than a few, whatever the number.
  const std::size_t few = std::min(kNames, asked.cell.namesWithBytes());
  const std::size_t most =
      options.fill_up_to > 0 ? std::clamp<std::size_t>(divideUp(names.size(), kGroups), few, kNames) : kNames;
  auto groups = groupsOf(std::move(names), most, state->answers);
  if (groups.empty()) {
    // As if the node had answered: from the I/O thread.
    asked.cell.post([state, answered = std::move(answered)]() mutable { answered(std::move(state->answers)); });
    return;
  }
  state->open = groups.size();
  state->answered = std::move(answered);
  for (Group& group : groups) {
    if (options.fill_up_to > 0) options.into = std::move(group.into);
    asked.cell.resolveAll(
        std::move(group.mount), group.paths, options, asked.deadline,
        [state, indices = std::move(group.indices)](Result<Answers> all) {
          for (std::size_t i = 0; i < indices.size(); ++i)
            state->answers[indices[i]] = all ? std::move((*all)[i]) : fail(all.error());
          if (--state->open == 0) state->answered(std::move(state->answers));
        },
        asked.id);
  }
}

namespace {

void set(forebay_attributes& to, std::size_t size, const client::Attributes& from) {
  forebay_attributes whole = {};
  whole.size = size;
  whole.directory = from.directory ? 1 : 0;
  if (!from.directory) {
    whole.bytes = from.plan.size;
    whole.mtime_ns = from.plan.mtime_ns;
    whole.chunk_bytes = from.plan.chunkSize();
    copyText(whole.version, from.plan.version);
  }
  std::memcpy(&to, &whole, std::min(size, sizeof whole));
}

template <class T>
T& element(T* first, std::size_t stride, std::size_t index) {
  return *reinterpret_cast<T*>(reinterpret_cast<std::byte*>(first) + stride * index);
}

// A node's cursor is any bytes, C's is text: hexadecimal.
Result<std::string> cursorOf(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string cursor;
  for (; text.size() >= 2; text.remove_prefix(2)) {
    const std::size_t high = kDigits.find(text[0]), low = kDigits.find(text[1]);
    if (high == std::string_view::npos || low == std::string_view::npos) break;
    cursor.push_back(static_cast<char>(high * 16 + low));
  }
  if (text.empty()) return cursor;
  return fail(Code::InvalidArgument, "a cursor that no page of a directory gave: pass forebay_page_cursor() unchanged");
}

Result<io::Address> addressOf(const forebay_options& options) {
  std::string text = options.node == nullptr ? "" : options.node;
  if (text.empty()) {
    const char* variable = std::getenv("FOREBAY_NODE");  // NOLINT(concurrency-mt-unsafe): read as the CLI does
    if (variable != nullptr) text = variable;
  }
  if (text.empty()) return io::Address::unixPath(config::defaultSocketPath());
  auto address = io::Address::parse(text);
  if (!address) {
    return fail(Code::InvalidArgument,
                fmt::format("node {}: {} (write unix:PATH or HOST:PORT)", text, address.error().message));
  }
  return address;
}

using Connected = Result<std::shared_ptr<client::CellReader>>;

Connected attach(const forebay_options& options, const std::string& name, Duration patience) {
  const io::Address address = TRY(addressOf(options));
  const auto no_node = [&](const Error& why) {
    return fail(Code::Unavailable,
                fmt::format("no node answers at {} ({}): start one (`forebay node`), or say where it "
                            "is with the option `node` or in FOREBAY_NODE",
                            address.text(), why.message));
  };
  if (address.isUnix()) {
    if (const auto there = io::startConnect(address); !there) return no_node(there.error());
  }
  auto node = TRY(client::NodeClient::create(address, name));
  const auto answer = client::wait<wire::pb::StatusReply>(
      [&](auto done) { node->status(false, io::Reactor::now() + patience, std::move(done)); });
  if (!answer) return no_node(answer.error());
  node->shareMemory((options.flags & FOREBAY_NO_SHARED_MEMORY) == 0);
  return node;
}

Connected connectDirect(const forebay_options& options, const std::string& name, Duration patience) {
  if (options.node != nullptr)
    return fail(Code::InvalidArgument, "a client is attached (the option `node`) or direct (`direct`), not both");
  client::DirectClient::Options direct{.seeds = {}, .name = name, .connect_by = io::Reactor::now() + patience};
  for (std::size_t i = 0; i < options.direct_count; ++i) {
    const char* const text = options.direct[i] == nullptr ? "" : options.direct[i];
    auto address = io::Address::parse(text);
    if (!address)
      return fail(Code::InvalidArgument, fmt::format("member {}: {} (write HOST:PORT)", text, address.error().message));
    direct.seeds.push_back(std::move(*address));
  }
  auto cell = client::DirectClient::connect(direct);
  if (cell) return std::move(*cell);
  if (cell.error().code != Code::Unavailable && cell.error().code != Code::DeadlineExceeded) return fail(cell.error());
  return fail(Code::Unavailable,
              fmt::format("no member of the cell answers ({}): are these addresses what its nodes listen on "
                          "(node.listen), and reached from here?",
                          cell.error().message));
}

Result<std::shared_ptr<Session>> connect(const forebay_options& options) {
  auto session = std::make_shared<Session>();
  session->process = processGeneration();
  session->timeout = options.timeout_ms == 0 ? Duration(60s) : std::chrono::milliseconds(options.timeout_ms);
  const Duration patience =
      options.connect_timeout_ms == 0 ? Duration(3s) : std::chrono::milliseconds(options.connect_timeout_ms);
  const std::string name = fmt::format("library:{}", getpid());
  session->cell =
      TRY(options.direct_count != 0 ? connectDirect(options, name, patience) : attach(options, name, patience));
  return session;
}

}  // namespace
}  // namespace forebay::abi

using namespace forebay;  // NOLINT(google-build-using-namespace): the ABI's functions are outside of it

const char* forebay_code_name(forebay_code code) {
  const bool known = code >= FOREBAY_OK && code <= FOREBAY_READ_ONLY;
  return known ? codeName(static_cast<Code>(code)).data() : "Unknown";
}

const char* forebay_version(void) {
  return FOREBAY_VERSION;
}

forebay_code forebay_connect(const forebay_options* options, forebay_client** client, forebay_error* error) {
  if (client == nullptr) return abi::fill(error, {Code::InvalidArgument, "nowhere to put the client", 0});
  if (abi::inCallback()) return abi::fill(error, {Code::InvalidArgument, "a callback must not wait", 0});
  forebay_options all = {};
  if (options != nullptr) {
    constexpr std::size_t kFirst = offsetof(forebay_options, flags);  // callers that don't know more
    if (const Status good = abi::checkSize("forebay_options", options->size, kFirst); !good)
      return abi::fill(error, good.error());
    std::memcpy(&all, options, std::min(options->size, sizeof all));
    if ((all.flags & ~std::uint32_t{FOREBAY_NO_SHARED_MEMORY}) != 0)
      return abi::fill(
          error, {Code::InvalidArgument, fmt::format("forebay_options.flags has unknown bits: {:#x}", all.flags), 0});
  }
  auto session = abi::connect(all);
  if (!session) return abi::fill(error, session.error());
  *client = new forebay_client{std::move(*session)};
  return FOREBAY_OK;
}

forebay_code forebay_disconnect(forebay_client* client) {
  if (client == nullptr) return FOREBAY_OK;
  if (abi::inCallback()) return FOREBAY_INVALID_ARGUMENT;
  // The parent's thread isn't in a forked child: there, nothing can be joined, so the handle is only forgotten.
  if (client->session->process != abi::processGeneration()) return FOREBAY_OK;
  std::shared_ptr<client::CellReader> cell;
  {
    const std::unique_lock lock(client->session->mutex);
    cell = std::move(client->session->cell);
  }
  cell.reset();
  delete client;
  return FOREBAY_OK;
}

void forebay_cancel(forebay_client* client, std::uint64_t id) {
  if (client->session->process != abi::processGeneration()) return;
  const Status ended = client->session->with([id](client::CellReader& cell) { cell.cancel(id); });
  static_cast<void>(ended);  // disconnected: there is nothing to cancel
}

forebay_code forebay_stat(forebay_client* client, const char* const* names, std::size_t count,
                          forebay_attributes* attributes, forebay_call* call, forebay_error* error) {
  if (count == 0 || count > 1'048'576 || names == nullptr || attributes == nullptr)
    return abi::fill(error, {Code::InvalidArgument, fmt::format("stat of {} names: 1 to 1048576", count), 0});
  const std::size_t stride = attributes->size;
  if (const Status good = abi::checkSize("forebay_attributes", stride, sizeof *attributes); !good)
    return abi::fill(error, good.error());
  std::vector<abi::Name> parsed;
  for (std::size_t i = 0; i < count; ++i) {
    auto name = abi::parseName(names[i]);
    if (!name) return abi::fill(error, name.error());
    parsed.push_back(std::move(*name));
  }
  return abi::run(client->session, call, error,
                  [parsed = std::move(parsed), attributes, stride](const abi::Asked& asked, abi::Done done) mutable {
                    abi::resolve(asked, std::move(parsed), {},
                                 [attributes, stride, done = std::move(done)](abi::Answers answers) mutable {
                                   Status first;
                                   for (std::size_t i = 0; i < answers.size(); ++i) {
                                     forebay_attributes& to = abi::element(attributes, stride, i);
                                     if (answers[i]) {
                                       abi::set(to, stride, *answers[i]);
                                       continue;
                                     }
                                     to.code = static_cast<forebay_code>(answers[i].error().code);
                                     if (first) first = fail(answers[i].error());
                                   }
                                   done(std::move(first));
                                 });
                  });
}

forebay_code forebay_list(forebay_client* client, const char* directory, const char* cursor, std::uint32_t max,
                          forebay_page** page, forebay_call* call, forebay_error* error) {
  auto name = abi::parseName(directory);
  if (!name) return abi::fill(error, name.error());
  if (page == nullptr) return abi::fill(error, {Code::InvalidArgument, "nowhere to put the page", 0});
  auto from = abi::cursorOf(cursor == nullptr ? "" : cursor);
  if (!from) return abi::fill(error, from.error());
  if (name->path.ends_with('/')) name->path.pop_back();
  return abi::run(
      client->session, call, error,
      [name = std::move(*name), from = std::move(*from), max, page](const abi::Asked& asked, abi::Done done) mutable {
        asked.cell.list(
            std::move(name.mount), std::move(name.path), std::move(from), {.max = max, .raw = false}, asked.deadline,
            [page, done = std::move(done)](Result<client::DirectoryPage> result) mutable {
              if (!result) return done(fail(result.error()));
              std::string next = hex(bytesOf(result->next_cursor));
              *page = new forebay_page{std::move(*result), std::move(next)};
              done({});
            },
            asked.id);
      });
}

std::size_t forebay_page_count(const forebay_page* page) {
  return page->page.entries.size();
}

forebay_code forebay_page_entry(const forebay_page* page, std::size_t index, forebay_entry* entry) {
  if (index >= page->page.entries.size() || !abi::checkSize("forebay_entry", entry->size, sizeof *entry))
    return FOREBAY_INVALID_ARGUMENT;
  const client::DirectoryEntry& from = page->page.entries[index];
  entry->name = from.name.c_str();
  entry->directory = from.directory ? 1 : 0;
  entry->bytes = from.size;
  entry->mtime_ns = from.mtime_ns;
  return FOREBAY_OK;
}

const char* forebay_page_cursor(const forebay_page* page) {
  return page->cursor.c_str();
}

void forebay_page_free(forebay_page* page) {
  delete page;
}

forebay_code forebay_open(forebay_client* client, const char* name, std::uint32_t flags, forebay_object** object,
                          forebay_call* call, forebay_error* error) {
  auto parsed = abi::parseName(name);
  if (!parsed) return abi::fill(error, parsed.error());
  if (object == nullptr || (flags & ~std::uint32_t{FOREBAY_REVALIDATE}) != 0) {
    return abi::fill(error,
                     {Code::InvalidArgument,
                      fmt::format("open {}: unknown flags {:#x}, or nowhere to put the object", name, flags), 0});
  }
  const bool revalidate = (flags & FOREBAY_REVALIDATE) != 0;
  return abi::run(client->session, call, error,
                  [session = client->session, parsed = std::move(*parsed), revalidate, object](const abi::Asked& asked,
                                                                                               abi::Done done) mutable {
                    std::vector<abi::Name> names;
                    names.push_back(std::move(parsed));
                    abi::resolve(asked, std::move(names), {.object_only = true, .revalidate = revalidate},
                                 [session, object, done = std::move(done)](abi::Answers answers) mutable {
                                   if (!answers[0]) return done(fail(answers[0].error()));
                                   *object = new forebay_object{std::move(session), std::make_shared<const core::Plan>(
                                                                                        std::move(answers[0]->plan))};
                                   done({});
                                 });
                  });
}

std::uint64_t forebay_object_bytes(const forebay_object* object) {
  return object->plan->size;
}

void forebay_object_attributes(const forebay_object* object, forebay_attributes* attributes) {
  client::Attributes all;
  all.plan = *object->plan;
  if (attributes->size >= sizeof attributes->size) abi::set(*attributes, attributes->size, all);
}

void forebay_close(forebay_object* object) {
  delete object;
}
