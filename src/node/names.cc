#include "node/names.h"

#include <algorithm>
#include <fmt/format.h>

#include "node/plan_bytes.h"
#include "wire/messages.h"

namespace forebay::node {
namespace {

constexpr Duration kOwnerDeadline = 60s;  // of one question to a name's owners, whoever waits for it
constexpr int kMaxEmptyPages = 1000;      // an origin that answers empty pages for ever is broken
// Of one question to an owner: what its answer holds fits a frame's 1 MiB, with versions of 256 bytes.
constexpr std::size_t kMaxBatch = 1'024, kMaxAnswerBytes = 400, kMaxBatchBytes = 768 * kKiB;
constexpr Duration kBatchTimeout = 20s;     // of one node's answer to many names, some of which its origin opens
constexpr Duration kComingWait = 1s;        // of one who was sent by an owner, for an answer that is on its way here
constexpr std::size_t kMaxDoubted = 4'096;  // beyond them an owner's old answer is believed for its time

std::size_t sizeOf(const core::Plan& plan) {
  return sizeof(core::Plan) + plan.path.size() + plan.version.size();
}
// With its key's two copies (the cache's tree and its list), which have the path too.
std::size_t sizeOf(const NameAnswer& answer) {
  return 200 + sizeof(core::Plan) + sizeOf(answer.plan) + 2 * answer.plan.path.size();
}

}  // namespace

NameService::NameService(Deps deps)
    : deps_(deps),
      owners_(deps.reactor, deps.self, deps.cell, deps.channels, deps.seed),
      names_(deps.limits),
      pages_(deps.page_limits),
      spread_({}, deps.seed),
      name_waiters_(deps.reactor),
      page_waiters_(deps.reactor),
      name_hits_(
          deps.metrics.counter("forebay_name_hits_total", "Questions about names answered from what was known.")),
      name_misses_(
          deps.metrics.counter("forebay_name_misses_total", "Questions about names that had to be passed on.")),
      name_asks_(deps.metrics.counter("forebay_name_asks_total",
                                      "Questions about hot names that were answered with who else knows them.")),
      name_in_stead_(deps.metrics.counter("forebay_name_in_stead_total",
                                          "Questions about names answered in their owner's stead.")) {}

bool NameService::owner(const Mount& mount, const std::string& path) const {
  return deps_.cell.map().owners(core::slotOfPath(mount.name, path)).primary() == deps_.self;
}

// ---- who waits ----
//
// An answer that sets off another fetch does so for those who revalidate: their fetch must start after they asked, and
// reach the origin.

namespace {
Error busy() {
  return {Code::Busy, "too many questions about names wait at this node", 50};
}
}  // namespace

void NameService::deliver(Names::Outcome outcome, const Error* error, Source source) {
  if (outcome.fetch) fetchName(*outcome.fetch, source);
  for (auto& found : outcome.found)
    name_waiters_.tell(found.waiter, Resolved{found.answer, found.ttl, found.until, {}});
  for (auto waiter : outcome.refused) name_waiters_.tell(waiter, fail(error != nullptr ? *error : busy()));
}

void NameService::deliver(Pages::Outcome outcome, const Error* error, Source source) {
  if (outcome.fetch) fetchPage(*outcome.fetch, source);
  for (auto& found : outcome.found) page_waiters_.tell(found.waiter, PageFound{found.answer, found.ttl, found.until});
  for (auto waiter : outcome.refused) page_waiters_.tell(waiter, fail(error != nullptr ? *error : busy()));
}

// ---- hot answers ----

namespace {
// What turns out not to be known is a miss, whatever the reason: the asker goes back to the owner.
template <class Callback>
Callback inStead(Callback done, Counter& count) {
  return [done = std::move(done), &count](auto found) mutable {
    using Found = std::remove_cvref_t<decltype(*found)>;
    if (!found) return done(Found{});
    count.add();
    done(std::move(found));
  };
}
}  // namespace

// Also what is on its way here: an owner names those to whom it is just sending.
bool NameService::knownHere(const NameKey& key) {
  if (doubted_.contains(key)) return false;
  takeFromListing(key);
  return names_.peek(io::Reactor::now(), key) || names_.coming(key);
}

std::vector<core::NodeId> NameService::othersWhoKnow(const core::NameSpread::Answer& answer,
                                                     const core::NameAsker& asker) {
  auto others = spread_.inMyStead(io::Reactor::now(), answer, asker);
  if (!others.empty()) name_asks_.add();
  return others;
}

NameService::Callback<NameService::Resolved> NameService::orOthers(const NameKey& key, core::NameAsker asker,
                                                                   Callback<Resolved> done) {
  if (!asker.may_ask || !owner(mountOf(key.mount), key.path)) return done;
  return [this, key, asker, done = std::move(done)](Result<Resolved> found) mutable {
    if (found) {
      found->ask = othersWhoKnow({.view = key.object_only ? core::NameView::Object : core::NameView::Posix,
                                  .mount = key.mount,
                                  .path = key.path,
                                  .page = {},
                                  .until = found->until},
                                 asker);
      if (!found->ask.empty()) found->answer = nullptr;
    }
    done(std::move(found));
  };
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
    return done(Resolved{.answer = std::move(root), .ttl = mount.ttl()});
  }
  if (!options.object_only && !posixPath(path))
    return done(fail(Code::NotFound, fmt::format("{:?}: a mount can't hold such a name; the object view can", path)));
  const NameKey key{mount.id, options.object_only, std::move(path)};
  if (options.no_fetch) {
    if (!knownHere(key)) return done(Resolved{});
    deadline = std::min(deadline, io::Reactor::now() + kComingWait);
    done = inStead(std::move(done), name_in_stead_);
  } else {
    if (!options.revalidate) done = orOthers(key, options.asker, std::move(done));
    options.revalidate |= doubted_.erase(key) > 0;
  }
  if (!options.revalidate) {
    auto known = names_.known(io::Reactor::now(), key);
    if (!known) {
      takeFromListing(key);
      known = names_.known(io::Reactor::now(), key);
    }
    if (known) {
      name_hits_.add();
      return done(Resolved{std::move(known->answer), known->ttl, known->until, {}});
    }
  }
  const auto waiter = name_waiters_.await(deadline, std::move(done));
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
    m.origin->list(key.path + "/", std::move(next), 1, deadline, {},
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
  if (deps_.arena != nullptr) request->set_bytes_up_to(group.fill_up_to);
  const TimePoint asked = io::Reactor::now();
  reader::OwnerQuestion question{.slot = core::slotOfPath(mount.name, keys.front().path),
                                 .type = wire::MessageType::ResolveRequest,
                                 .message = request,
                                 .deadline = asked + kOwnerDeadline};
  if (keys.size() > 1)
    question.try_timeout = kBatchTimeout;
  else if (!group.revalidate && mount.ttl() > Duration{0})
    question.prepare = [request](const core::AskNode& ask) { reader::sayHow(*request, ask); };
  std::shared_ptr<ArrivingPlanBytes> bytes;
  if (group.fill_up_to > 0 && deps_.arena != nullptr)
    question.bulk = bytes = std::make_shared<ArrivingPlanBytes>(*deps_.arena, deps_.cell, mountOf(group.mount));
  owners_.ask(std::move(question),
              [this, group, keys = std::move(keys), asked, bytes](reader::OwnerAnswer answer) -> core::WalkEvent {
                if (const auto* a = std::get_if<reader::Answer>(&answer)) {
                  if (bytes) bytes->take(a->from == group.owner);
                  return ownersNames(group, keys, asked, a->body);
                }
                const auto* error = std::get_if<Error>(&answer);
                for (const NameKey& key : keys) {
                  if (keys.size() > 1)  // the first name's owners were asked for all: now each asks its own
                    askOwner(group, {key});
                  else if (error != nullptr)
                    nameFetched(key, fail(*error), Duration{0});
                  else
                    nameFromOrigin(key, group.fill_up_to);
                }
                return core::Answered{};
              });
}

core::WalkEvent NameService::ownersNames(const Group& group, const std::vector<NameKey>& keys, TimePoint asked,
                                         Bytes body) {
  auto reply = wire::parse<wire::pb::ResolveReply>(body);
  if (reply && static_cast<std::size_t>(reply->items_size()) != keys.size())
    reply = fail(Code::Corrupt, "an owner answered another number of names than asked");
  if (!reply) {
    for (const NameKey& key : keys) nameFetched(key, fail(reply.error()), Duration{0});
    return core::Answered{};
  }
  const auto late = [](const wire::pb::Resolved& item) {
    return item.has_failure() && wire::fromMessage(item.failure()).code == Code::DeadlineExceeded;
  };
  if (keys.size() == 1) {
    if (late(reply->items(0))) return core::TooSlow{};
    if (const auto event = reader::elsewhere(reply->items(0))) return *event;
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& item = reply->items(static_cast<int>(i));
    if (late(item))
      nameFromOrigin(keys[i], group.fill_up_to);  // it has had the time of several
    else
      ownersName(keys[i], asked, item);
  }
  return core::Answered{};
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
  if (!item.directory() && !item.has_plan())
    return nameFetched(key, fail(Code::Corrupt, "an owner's answer about a name has none"), Duration{0});
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

// ---- names in listings ----

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

}  // namespace forebay::node
