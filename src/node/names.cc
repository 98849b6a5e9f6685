#include "node/names.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/log.h"
#include "wire/messages.h"

namespace forebay::node {
namespace {

constexpr Duration kOwnerDeadline = 60s;           // of one question to a name's owners, whoever waits for it
constexpr std::size_t kMaxPageBytes = 900 * kKiB;  // of a page's names and versions: a body has at most 1 MiB
constexpr std::uint32_t kPageNames = 5'000;        // asked of the origin at once: what Azure gives at most
constexpr std::size_t kIndexSlack = 1'024;
constexpr int kMaxEmptyPages = 1000;  // an origin that answers empty pages for ever is broken
// Of one question to an owner: what its answer holds fits a frame's 1 MiB, with versions of 256 bytes.
constexpr std::size_t kMaxBatch = 1'024, kMaxAnswerBytes = 400, kMaxBatchBytes = 768 * kKiB;
constexpr Duration kBatchTimeout = 20s;     // of one node's answer to many names, some of which its origin opens
constexpr std::size_t kMaxDoubted = 4'096;  // beyond them an owner's old answer is believed for its time

std::size_t sizeOf(const core::Plan& plan) {
  return sizeof(core::Plan) + plan.path.size() + plan.version.size();
}
// With its key's two copies (the cache's tree and its list), which have the path too.
std::size_t sizeOf(const NameAnswer& answer) {
  return 200 + sizeof(core::Plan) + sizeOf(answer.plan) + 2 * answer.plan.path.size();
}
std::size_t wireSize(const origin::ListEntry& e) {
  return 40 + e.name.size() + e.info.version.size();
}
std::size_t wireSize(const auto& page) {
  std::size_t bytes = page.next.size();
  for (const auto& e : page.entries) bytes += wireSize(e);
  return bytes;
}
std::size_t sizeOf(const auto& page, std::size_t key) {  // with its place in the index
  return 500 + 3 * key + page.entries.capacity() * sizeof(origin::ListEntry) + wireSize(page);
}

std::string prefixOf(const std::string& directory) {
  return directory.empty() ? "" : directory + "/";
}

}  // namespace

NameService::NameService(Deps deps)
    : deps_(deps),
      owners_(deps.reactor, deps.self, deps.cell, deps.channels, deps.seed),
      names_(deps.limits),
      pages_(deps.page_limits),
      name_hits_(
          deps.metrics.counter("forebay_name_hits_total", "Questions about names answered from what was known.")),
      name_misses_(
          deps.metrics.counter("forebay_name_misses_total", "Questions about names that had to be passed on.")) {}

bool NameService::owner(const Mount& mount, const std::string& path) const {
  return deps_.cell.map().owners(core::slotOfPath(mount.name, path)).primary() == deps_.self;
}

// ---- who waits ----
//
// An answer that sets off another fetch does so for those who revalidate: their fetch must start after they asked, and
// reach the origin.

template <class T>
std::uint64_t NameService::await(Waiters<T>& waiters, TimePoint deadline, Callback<T> done) {
  const std::uint64_t id = next_waiter_++;
  io::TimerId timer = 0;
  if (deadline != kNever)
    timer = deps_.reactor.at(deadline, [this, &waiters, id, alive = std::weak_ptr(alive_)] {
      if (!alive.expired())
        tell<T>(waiters, id, fail(Code::DeadlineExceeded, "the name wasn't answered before the request's deadline"));
    });
  waiters.open.emplace(id, typename Waiters<T>::Waiting{std::move(done), timer});
  return id;
}

template <class T>
void NameService::tell(Waiters<T>& waiters, std::uint64_t id, Result<T> result) {
  auto known = waiters.open.extract(id);
  if (known.empty()) return;  // its deadline passed
  if (known.mapped().timer != 0) deps_.reactor.cancel(known.mapped().timer);
  known.mapped().done(std::move(result));
}

namespace {
Error busy() {
  return {Code::Busy, "too many questions about names wait at this node", 50};
}
}  // namespace

void NameService::deliver(Names::Outcome outcome, const Error* error, Source source) {
  if (outcome.fetch) fetchName(*outcome.fetch, source);
  for (auto& found : outcome.found) tell<Resolved>(name_waiters_, found.waiter, Resolved{found.answer, found.ttl});
  for (auto waiter : outcome.refused) tell<Resolved>(name_waiters_, waiter, fail(error != nullptr ? *error : busy()));
}

void NameService::deliver(Pages::Outcome outcome, const Error* error, Source source) {
  if (outcome.fetch) fetchPage(*outcome.fetch, source);
  for (auto& found : outcome.found) tell<PageFound>(page_waiters_, found.waiter, PageFound{found.answer, found.ttl});
  for (auto waiter : outcome.refused) tell<PageFound>(page_waiters_, waiter, fail(error != nullptr ? *error : busy()));
}

// ---- plans ----

void NameService::resolve(Mount& mount, std::string path, ResolveOptions options, TimePoint deadline,
                          Callback<Resolved> done) {
  if (mount.refusal) return done(fail(*mount.refusal));
  if (path.size() > wire::kMaxPath)
    return done(
        fail(Code::NotFound, fmt::format("a name of {} bytes: names have at most {}", path.size(), wire::kMaxPath)));
  if (!options.object_only && path.empty()) {
    auto root = std::make_shared<NameAnswer>();
    root->kind = NameAnswer::Kind::Directory;
    return done(Resolved{std::move(root), mount.ttl()});
  }
  if (!options.object_only && !posixPath(path))
    return done(fail(Code::NotFound, fmt::format("{:?}: a mount can't hold such a name; the object view can", path)));
  const auto waiter = await<Resolved>(name_waiters_, deadline, std::move(done));
  const NameKey key{mount.id, options.object_only, std::move(path)};
  options.revalidate |= doubted_.erase(key) > 0;
  if (!options.revalidate) takeFromListing(key);
  auto outcome = names_.wanted(io::Reactor::now(), waiter, key, options.revalidate);
  (outcome.found.empty() ? name_misses_ : name_hits_).add();
  deliver(std::move(outcome), nullptr,
          {.ask_owner = options.ask_owner, .revalidate = options.revalidate, .fill_up_to = options.fill_up_to});
}

void NameService::fetchName(const NameKey& key, Source source) {
  const Mount& mount = mountOf(key.mount);
  if (mount.manifest != nullptr)  // it has all answers, and reads bring the bytes
    nameFromOrigin(key);
  else if (source.ask_owner && !owner(mount, key.path))
    nameFromOwner(key, source);
  else
    nameFromOrigin(key, source.fill_up_to);
}

// The POSIX view asks two things at once, because a prefix wins over an object of its name: is there an object, is
// there anything below. One round trip, and no answer that a listing would contradict.
struct NameService::OriginLookup {
  TimePoint asked;
  std::optional<Result<origin::ObjectInfo>> head;
  std::optional<Result<bool>> below;  // names below it, or an empty directory
  int pages = 0;
};

// The object view of a name whose bytes are wanted too: one request instead of two.
void NameService::openAtOrigin(const NameKey& key, std::uint32_t fill_up_to) {
  Mount& mount = mountOf(key.mount);
  deps_.openings->open(mount, key.path, fill_up_to, [this, key, alive = std::weak_ptr(alive_)](Result<Opened> opened) {
    if (alive.expired()) return;
    OriginLookup lookup;
    lookup.asked = opened ? opened->asked : io::Reactor::now();
    lookup.below = Result<bool>(false);
    lookup.head = opened ? Result<origin::ObjectInfo>(std::move(opened->info)) : fail(opened.error());
    lookedUp(key, lookup);
  });
}

void NameService::nameFromOrigin(const NameKey& key, std::uint32_t fill_up_to) {
  if (key.object_only && fill_up_to > 0 && deps_.openings != nullptr) return openAtOrigin(key, fill_up_to);
  Mount& mount = mountOf(key.mount);
  auto lookup = std::make_shared<OriginLookup>();
  lookup->asked = io::Reactor::now();
  const TimePoint deadline = lookup->asked + mount.request_timeout;
  if (key.object_only) lookup->below = Result<bool>(false);
  mount.origin->head(key.path, deadline,
                     [this, key, lookup, alive = std::weak_ptr(alive_)](Result<origin::ObjectInfo> info) {
                       if (alive.expired()) return;
                       lookup->head = std::move(info);
                       lookedUp(key, *lookup);
                     });
  if (key.object_only) return;
  // An empty page with a next one says nothing yet: ask on.
  auto ask = std::make_shared<std::function<void(std::string)>>();
  *ask = [this, key, lookup, deadline, weak = std::weak_ptr(ask), alive = std::weak_ptr(alive_)](std::string next) {
    Mount& m = mountOf(key.mount);
    m.origin->list(key.path + "/", std::move(next), 1, deadline,
                   [this, key, lookup, ask = weak.lock(), alive](Result<origin::ListPage> page) {
                     if (alive.expired()) return;
                     if (page && page->entries.empty() && !page->next.empty() && ++lookup->pages < kMaxEmptyPages)
                       return (*ask)(std::move(page->next));
                     if (page)
                       lookup->below = !page->entries.empty() || mountOf(key.mount).origin->hasEmptyDirectories();
                     else if (page.error().code == Code::NotFound)
                       lookup->below = false;
                     else
                       lookup->below = fail(page.error());
                     lookedUp(key, *lookup);
                   });
  };
  (*ask)("");
}

void NameService::lookedUp(const NameKey& key, OriginLookup& lookup) {
  if (!lookup.head || !lookup.below) return;
  Mount& mount = mountOf(key.mount);
  const Duration age = io::Reactor::now() - lookup.asked;
  NameAnswer answer;
  answer.plan.path = key.path;
  if (!*lookup.below) return nameFetched(key, fail(lookup.below->error()), Duration{0});
  if (**lookup.below) {
    answer.kind = NameAnswer::Kind::Directory;
    return nameFetched(key, std::move(answer), mount.ttl() - age);
  }
  if (*lookup.head) {
    answer.kind = NameAnswer::Kind::Object;
    answer.plan = mount.plan(key.path, **lookup.head);
    return nameFetched(key, std::move(answer), mount.ttl() - age);
  }
  if (lookup.head->error().code == Code::NotFound) return nameFetched(key, std::move(answer), mount.absentTtl() - age);
  nameFetched(key, fail(lookup.head->error()), Duration{0});
}

// Names of one owner go in one question while a batch is open; others go at once.
void NameService::nameFromOwner(const NameKey& key, Source source) {
  const core::Slot slot = core::slotOfPath(mountOf(key.mount).name, key.path);
  const Group group{deps_.cell.map().owners(slot).primary(), key.mount, key.object_only, source.revalidate,
                    source.fill_up_to};
  // Of an owner that rests, each name has its own alternates.
  if (batches_ > 0 && deps_.cell.peers().usable(io::Reactor::now(), group.owner))
    to_ask_[group].push_back(key);
  else
    askOwner(group, {key});
}

void NameService::askOwners() {
  for (auto& [group, keys] : std::exchange(to_ask_, {})) {
    std::vector<NameKey> some;
    std::size_t bytes = 0;
    for (NameKey& key : keys) {
      bytes += kMaxAnswerBytes + key.path.size();
      some.push_back(std::move(key));
      if (some.size() < kMaxBatch && bytes < kMaxBatchBytes) continue;
      askOwner(group, std::exchange(some, {}));
      bytes = 0;
    }
    if (!some.empty()) askOwner(group, std::move(some));
  }
}

void NameService::askOwner(const Group& group, std::vector<NameKey> keys) {
  const Mount& mount = mountOf(group.mount);
  auto request = std::make_shared<wire::pb::ResolveRequest>();
  request->set_mount(mount.name);
  for (const NameKey& key : keys) request->add_paths(key.path);
  request->set_object_only(group.object_only);
  request->set_revalidate(group.revalidate);
  request->set_fill_up_to(group.fill_up_to);
  const TimePoint asked = io::Reactor::now();
  reader::OwnerQuestion question{.slot = core::slotOfPath(mount.name, keys.front().path),
                                 .type = wire::MessageType::ResolveRequest,
                                 .message = std::move(request),
                                 .deadline = asked + kOwnerDeadline};
  if (keys.size() > 1) question.try_timeout = kBatchTimeout;
  owners_.ask(std::move(question), [this, group, keys = std::move(keys), asked](reader::OwnerAnswer answer) {
    if (const auto* a = std::get_if<reader::Answer>(&answer)) return ownersNames(group, keys, asked, a->body);
    const auto* error = std::get_if<Error>(&answer);
    for (const NameKey& key : keys) {
      if (keys.size() > 1)  // the first name's owners were asked for all: now each asks its own
        askOwner(group, {key});
      else if (error != nullptr)
        nameFetched(key, fail(*error), Duration{0});
      else
        nameFromOrigin(key, group.fill_up_to);
    }
    return reader::Verdict::Taken;
  });
}

reader::Verdict NameService::ownersNames(const Group& group, const std::vector<NameKey>& keys, TimePoint asked,
                                         Bytes body) {
  auto reply = wire::parse<wire::pb::ResolveReply>(body);
  if (reply && static_cast<std::size_t>(reply->items_size()) != keys.size())
    reply = fail(Code::Corrupt, "an owner answered another number of names than asked");
  if (!reply) {
    for (const NameKey& key : keys) nameFetched(key, fail(reply.error()), Duration{0});
    return reader::Verdict::Taken;
  }
  const auto late = [](const wire::pb::Resolved& item) {
    return item.has_failure() && wire::fromMessage(item.failure()).code == Code::DeadlineExceeded;
  };
  if (keys.size() == 1 && late(reply->items(0))) return reader::Verdict::TooSlow;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& item = reply->items(static_cast<int>(i));
    if (late(item))
      nameFromOrigin(keys[i], group.fill_up_to);  // it has had the time of several
    else
      ownersName(keys[i], asked, item);
  }
  return reader::Verdict::Taken;
}

void NameService::ownersName(const NameKey& key, TimePoint asked, const wire::pb::Resolved& item) {
  NameAnswer answer;
  answer.plan.path = key.path;
  const Duration ttl = std::chrono::milliseconds(item.ttl_ms()) - (io::Reactor::now() - asked);
  if (item.has_failure()) {
    const Error error = wire::fromMessage(item.failure());
    if (error.code != Code::NotFound) return nameFetched(key, fail(error), Duration{0});
    return nameFetched(key, std::move(answer), std::min(ttl, mountOf(key.mount).absentTtl()));
  }
  answer.kind = item.directory() ? NameAnswer::Kind::Directory : NameAnswer::Kind::Object;
  if (!item.directory()) answer.plan = wire::fromMessage(item.plan());
  nameFetched(key, std::move(answer), ttl);
}

void NameService::nameFetched(const NameKey& key, Result<NameAnswer> answer, Duration ttl) {
  if (!answer) {
    const Error error = std::move(answer.error());
    return deliver(names_.failed(key), &error, {});
  }
  dropIfOther(key, *answer);
  const std::size_t bytes = sizeOf(*answer);
  deliver(names_.answered(io::Reactor::now(), key, std::move(*answer), ttl, bytes), nullptr, {});
}

void NameService::forget(core::MountId mount, const std::string& path) {
  if (const auto found = listed(mount, path)) pages_.forget(found->page);
  for (const bool object_only : {true, false}) {
    NameKey key{mount, object_only, path};
    names_.forget(key);
    if (doubted_.size() < kMaxDoubted) doubted_.insert(std::move(key));
  }
}

std::size_t NameService::refresh(core::MountId mount, const std::string& path) {
  // In the order of keys a path is followed by "path!...", then by what is below it: two runs, but for the root.
  const std::string below = path.empty() ? "" : path + "/";
  const auto here = [&](const auto& key) { return key.mount == mount && key.path == path; };
  const auto under = [&](const auto& key) { return key.mount == mount && key.path.starts_with(below); };
  std::size_t forgotten = 0;
  if (!path.empty()) {
    const std::size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
    if (const auto found = listed(mount, path)) {
      pages_.forget(found->page);
      ++forgotten;
    }
    // The kept ones say nothing of this name; those on their way might.
    pages_.distrustFrom(PageKey{mount, parent, ""},
                        [&](const PageKey& key) { return key.mount == mount && key.path == parent; });
    forgotten += pages_.forgetFrom(PageKey{mount, path, ""}, here);
  }
  forgotten += pages_.forgetFrom(PageKey{mount, below, ""}, under);
  for (const bool object_only : {false, true}) {
    const auto view = [&](const NameKey& key) { return key.object_only == object_only; };
    if (!path.empty())
      forgotten += names_.forgetFrom(NameKey{mount, object_only, path},
                                     [&](const NameKey& key) { return view(key) && here(key); });
    forgotten += names_.forgetFrom(NameKey{mount, object_only, below},
                                   [&](const NameKey& key) { return view(key) && under(key); });
  }
  return forgotten;
}

// ---- listings ----

void NameService::list(Mount& mount, std::string path, const std::string& cursor, std::uint32_t max, bool raw,
                       bool ask_owner, TimePoint deadline, Callback<Listed> done) {
  if (mount.refusal) return done(fail(*mount.refusal));
  if (!raw && !posixPath(path))
    return done(fail(Code::NotFound, fmt::format("{:?}: a mount can't hold such a directory", path)));
  auto at = ViewCursor::decode(cursor);
  if (!at) return done(fail(at.error()));
  const PageKey key{mount.id, path, at->origin_next};
  View view{mount.id, std::move(path), std::move(*at), std::max(1U, max), raw};
  const auto waiter = await<PageFound>(
      page_waiters_, deadline, [this, view = std::move(view), done = std::move(done)](Result<PageFound> found) mutable {
        if (found)
          done(viewed(std::move(view), *found));
        else
          done(fail(std::move(found.error())));
      });
  auto outcome = pages_.wanted(io::Reactor::now(), waiter, key, false);
  (outcome.found.empty() ? name_misses_ : name_hits_).add();
  deliver(std::move(outcome), nullptr, {.ask_owner = ask_owner, .revalidate = false});
}

NameService::Listed NameService::viewed(View view, const PageFound& found) {
  const OriginPage& page = *found.page;
  Mount& mount = mountOf(view.mount);
  const auto from = std::ranges::partition_point(
      page.entries, [&](const auto& entry) { return !view.cursor.after.empty() && keyOf(entry) <= view.cursor.after; });
  const auto first = static_cast<std::size_t>(from - page.entries.begin());
  const std::size_t end = std::min(page.entries.size(), first + view.max);
  const bool whole = end == page.entries.size();
  const bool last = whole && page.next.empty();
  origin::ListPage part{.entries = {from, page.entries.begin() + static_cast<std::ptrdiff_t>(end)},
                        .next = last ? "" : "more"};
  auto listing = std::make_shared<Listing>();
  const std::string origin_next = whole ? page.next : view.cursor.origin_next;
  const std::string after = whole ? "" : keyOf(page.entries[end - 1]);
  ViewCursor next{.held = {}, .origin_next = origin_next, .after = after, .started = true};
  if (view.raw) {
    listing->entries = std::move(part.entries);
  } else {
    ViewPage shown = viewOf(std::move(part), std::move(view.cursor), !mount.origin->hasEmptyDirectories());
    if (first >= page.counted) sayHidden(mount, view.path, shown.hidden);
    page.counted = std::max(page.counted, end);
    listing->hidden = shown.hidden.size();
    listing->entries = std::move(shown.entries);
    next.held = std::move(shown.next.held);
  }
  if (!last) listing->next_cursor = next.encode();
  return {std::move(listing), found.ttl};
}

void NameService::fetchPage(const PageKey& key, Source source) {
  const Mount& mount = mountOf(key.mount);
  if (mount.manifest == nullptr && source.ask_owner && !owner(mount, key.path))
    pageFromOwner(key);
  else
    pageFromOrigin(key, kPageNames);
}

void NameService::pageFromOrigin(const PageKey& key, std::uint32_t max) {
  const TimePoint asked = io::Reactor::now();
  Mount& mount = mountOf(key.mount);
  mount.origin->list(prefixOf(key.path), key.origin_next, max, asked + mount.request_timeout,
                     [this, key, asked, max, alive = std::weak_ptr(alive_)](Result<origin::ListPage> page) {
                       if (alive.expired()) return;
                       if (!page) return pageFetched(key, fail(page.error()), Duration{0});
                       originPage(key, asked, max, std::move(*page));
                     });
}

void NameService::originPage(const PageKey& key, TimePoint asked, std::uint32_t max, origin::ListPage page) {
  Mount& mount = mountOf(key.mount);
  const bool nothing = key.origin_next.empty() && page.entries.empty() && page.next.empty();
  if (nothing && !key.path.empty() && !mount.origin->hasEmptyDirectories())
    return pageFetched(key, fail(Code::NotFound, fmt::format("{}: no such directory", key.path)), Duration{0});
  OriginPage kept{.entries = std::move(page.entries), .next = std::move(page.next)};
  if (wireSize(kept) > kMaxPageBytes && max > 1) return pageFromOrigin(key, max / 2);
  // S3 names a page's objects first and its prefixes after them.
  if (!std::ranges::is_sorted(kept.entries, keyBefore)) std::ranges::stable_sort(kept.entries, keyBefore);
  pageFetched(key, std::move(kept), mount.ttl() - (io::Reactor::now() - asked));
}

void NameService::pageFromOwner(const PageKey& key) {
  Mount& mount = mountOf(key.mount);
  auto request = std::make_shared<wire::pb::ListRequest>();
  request->set_mount(mount.name);
  request->set_path(key.path);
  if (!key.origin_next.empty())
    request->set_cursor(ViewCursor{.held = {}, .origin_next = key.origin_next, .after = {}, .started = true}.encode());
  request->set_max_entries(kPageNames);
  request->set_raw(true);  // whole pages: each node makes its views of them
  const TimePoint asked = io::Reactor::now();
  owners_.ask({.slot = core::slotOfPath(mount.name, key.path),
               .type = wire::MessageType::ListRequest,
               .message = std::move(request),
               .deadline = asked + kOwnerDeadline,
               .try_timeout = 20s},
              [this, key, asked](reader::OwnerAnswer answer) {
                if (const auto* a = std::get_if<reader::Answer>(&answer)) return ownersPage(key, asked, a->body);
                if (const auto* error = std::get_if<Error>(&answer))
                  pageFetched(key, fail(*error), Duration{0});
                else
                  pageFromOrigin(key, kPageNames);
                return reader::Verdict::Taken;
              });
}

reader::Verdict NameService::ownersPage(const PageKey& key, TimePoint asked, Bytes body) {
  const auto taken = [&](Result<OriginPage> page, Duration ttl) {
    pageFetched(key, std::move(page), ttl);
    return reader::Verdict::Taken;
  };
  auto reply = wire::parse<wire::pb::ListReply>(body);
  if (!reply) return taken(fail(reply.error()), Duration{0});
  if (reply->has_failure()) {
    const Error error = wire::fromMessage(reply->failure());
    if (error.code == Code::DeadlineExceeded) return reader::Verdict::TooSlow;
    return taken(fail(error), Duration{0});
  }
  const auto next = ViewCursor::decode(reply->next_cursor());
  if (!next || !next->after.empty())
    return taken(fail(Code::Corrupt, "an owner's page of a listing ends in the middle"), Duration{0});
  OriginPage page{.entries = {}, .next = next->origin_next};
  for (auto& e : *reply->mutable_entries())
    page.entries.push_back({.name = std::move(*e.mutable_name()),
                            .directory = e.directory(),
                            .info = {e.size(), std::move(*e.mutable_version()), e.mtime_ns()}});
  if (!std::ranges::is_sorted(page.entries, keyBefore)) std::ranges::stable_sort(page.entries, keyBefore);
  return taken(std::move(page), std::chrono::milliseconds(reply->ttl_ms()) - (io::Reactor::now() - asked));
}

void NameService::pageFetched(const PageKey& key, Result<OriginPage> page, Duration ttl) {
  if (!page) {
    const Error error = std::move(page.error());
    return deliver(pages_.failed(key), &error, {});
  }
  page->entries.shrink_to_fit();
  if (ttl > Duration{0}) indexPage(key, *page);
  const std::size_t bytes = sizeOf(*page, key.path.size() + key.origin_next.size());
  deliver(pages_.answered(io::Reactor::now(), key, std::move(*page), ttl, bytes), nullptr, {});
}

// ---- names in listings ----

void NameService::indexPage(const PageKey& key, const OriginPage& page) {
  if (page.entries.empty()) return;
  if (indexed_ > 2 * pages_.size() + kIndexSlack) {  // most of them have left
    pages_by_first_.clear();
    indexed_ = 0;
  }
  auto& pages = pages_by_first_[{key.mount, key.path}];
  if (pages.insert_or_assign(keyOf(page.entries.front()), key.origin_next).second) ++indexed_;
}

// Where a fresh page has this name, or would have it.
std::optional<NameService::ListedEntry> NameService::listed(core::MountId mount, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty()) return std::nullopt;
  const auto pages = pages_by_first_.find({mount, directory});
  if (pages == pages_by_first_.end()) return std::nullopt;
  auto at = pages->second.upper_bound(name);
  if (at == pages->second.begin()) return std::nullopt;
  --at;
  ListedEntry found{.page = {mount, directory, at->second}, .keep = {}};
  const auto known = pages_.peek(io::Reactor::now(), found.page);
  if (!known) {
    pages->second.erase(at);
    --indexed_;
    if (pages->second.empty()) pages_by_first_.erase(pages);
    return std::nullopt;
  }
  found.keep = known->first;
  found.ttl = known->second;
  const auto& entries = found.keep->entries;
  const origin::ListEntry object{.name = name, .directory = false, .info = {}};
  const origin::ListEntry prefix{.name = name, .directory = true, .info = {}};
  const auto here = std::ranges::lower_bound(entries, object, keyBefore);
  const auto below = std::ranges::lower_bound(entries, prefix, keyBefore);
  found.prefix_known = below != entries.end() || found.keep->next.empty();
  if (below != entries.end() && below->directory && below->name == name)
    found.entry = &*below;
  else if (here != entries.end() && !here->directory && here->name == name)
    found.entry = &*here;
  return found;
}

// What a listing says about a name answers the question about it, if the answer would be the same.
void NameService::takeFromListing(const NameKey& key) {
  const TimePoint now = io::Reactor::now();
  if (names_.peek(now, key)) return;
  const auto found = listed(key.mount, key.path);
  if (!found || found->entry == nullptr) return;
  const origin::ListEntry& entry = *found->entry;
  Mount& mount = mountOf(key.mount);
  if (entry.directory && key.object_only) return;  // there may be an object beside it
  if (!entry.directory && !key.object_only && !found->prefix_known && !mount.origin->hasEmptyDirectories()) return;
  NameAnswer answer;
  answer.kind = entry.directory ? NameAnswer::Kind::Directory : NameAnswer::Kind::Object;
  if (entry.directory)
    answer.plan.path = key.path;
  else
    answer.plan = mount.plan(key.path, entry.info);
  const std::size_t bytes = sizeOf(answer);
  names_.put(now, key, std::move(answer), found->ttl, bytes);
}

// A page that says otherwise than the origin has just said is old: whoever lists next gets a new one.
void NameService::dropIfOther(const NameKey& key, const NameAnswer& answer) {
  const auto found = listed(key.mount, key.path);
  if (!found || found->entry == nullptr || answer.kind == NameAnswer::Kind::Directory) return;
  const origin::ListEntry& entry = *found->entry;
  if (entry.directory && key.object_only) return;
  const bool same = answer.kind == NameAnswer::Kind::Object && !entry.directory &&
                    entry.info.version == answer.plan.version && entry.info.size == answer.plan.size;
  if (!same) pages_.forget(found->page);
}

void NameService::sayHidden(Mount& mount, const std::string& directory, const std::vector<std::string>& names) {
  if (names.empty()) return;
  mount.metrics->hidden_names.add(names.size());
  if (mount.said_hidden) return;
  mount.said_hidden = true;
  log::warn(
      "mount",
      "{}: {} names in {:?} can't be shown by a mount, the first is {:?} (not a POSIX name, or beside a directory "
      "of the same name); `forebay ls --raw` lists them. More such names are only counted",
      mount.name, names.size(), directory, names.front());
}

}  // namespace forebay::node
