// NameService's listings: pages as the origin gave them, what one asker sees of one, and where a page has a name.
#include <algorithm>
#include <fmt/format.h>

#include "base/log.h"
#include "node/names.h"
#include "wire/many_parts.h"
#include "wire/messages.h"

namespace forebay::node {
namespace {

constexpr Duration kOwnerDeadline = 60s;  // of one question to a directory's owners, whoever waits for it
constexpr Duration kComingWait = 1s;      // of one who was sent by an owner, for a page that is on its way here
constexpr std::size_t kMaxPageBytes = 900 * kKiB;  // of a page's names and versions: a body has at most 1 MiB
constexpr std::uint32_t kPageNames = 5'000;        // asked of the origin at once: what Azure gives at most
constexpr std::size_t kIndexSlack = 1'024;
constexpr std::size_t kMostAhead = 16;  // pages that nobody waits for yet

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

bool NameService::knownHere(const PageKey& key) {
  return pages_.peek(io::Reactor::now(), key) || pages_.coming(key);
}

void NameService::list(Mount& mount, std::string path, const std::string& cursor, const ListOptions& options,
                       TimePoint deadline, Callback<Listed> done) {
  if (mount.refusal) return done(fail(*mount.refusal));
  if (!options.raw && !posixPath(path))
    return done(fail(Code::NotFound, fmt::format("{:?}: a mount can't hold such a directory", path)));
  auto at = ViewCursor::decode(cursor);
  if (!at) return done(fail(at.error()));
  const PageKey key{mount.id, path, at->origin_next};
  if (options.no_fetch) {
    if (!knownHere(key)) return done(Listed{});
    deadline = std::min(deadline, io::Reactor::now() + kComingWait);
  }
  View view{mount.id, std::move(path), std::move(*at), std::max(1U, options.max), options.raw};
  const bool goes_on = !key.origin_next.empty() && !options.no_fetch;
  const auto waiter = page_waiters_.await(
      deadline, [this, view = std::move(view), asker = options.asker, in_stead = options.no_fetch, goes_on,
                 ask_owner = options.ask_owner, done = std::move(done)](Result<PageFound> found) mutable {
        if (in_stead && found) name_in_stead_.add();
        if (goes_on && found && !found->page->next.empty())
          pageAhead({view.mount, view.path, found->page->next}, {.ask_owner = ask_owner, .revalidate = false});
        if (found)
          done(viewedOrOthers(std::move(view), *found, asker));
        else if (in_stead)
          done(Listed{});  // a miss, whatever the reason: the asker goes back to the owner
        else
          done(fail(std::move(found.error())));
      });
  auto outcome = pages_.wanted(io::Reactor::now(), waiter, key, false);
  if (goes_on && pages_.coming(key) && going_on_.size() < kMostAhead) going_on_.insert(key);
  (outcome.found.empty() ? name_misses_ : name_hits_).add();
  deliver(std::move(outcome), nullptr, {.ask_owner = options.ask_owner, .revalidate = false});
}

// Nobody waits for it: an error is no news, whoever asks for the page hears of it.
void NameService::pageAhead(const PageKey& key, Source source) {
  if (pages_ahead_ >= kMostAhead || mountOf(key.mount).ttl() == Duration{0} || knownHere(key)) return;
  ++pages_ahead_;
  const TimePoint now = io::Reactor::now();
  const auto waiter = page_waiters_.await(now + kOwnerDeadline, [this](const Result<PageFound>&) { --pages_ahead_; });
  deliver(pages_.wanted(now, waiter, key, false), nullptr, source);
}

NameService::Listed NameService::viewedOrOthers(View view, const PageFound& found, const core::NameAsker& asker) {
  if (asker.may_ask && owner(mountOf(view.mount), view.path)) {
    const auto whole = static_cast<std::uint32_t>(std::max<std::size_t>(1, found.page->entries.size()));
    auto others = othersWhoKnow({.view = core::NameView::Page,
                                 .mount = view.mount,
                                 .path = view.path,
                                 .page = view.cursor.origin_next,
                                 .until = found.until,
                                 .part = std::min(view.max, whole),
                                 .whole = whole},
                                asker);
    if (!others.empty()) return {.page = nullptr, .ask = std::move(others)};
  }
  return viewed(std::move(view), found);
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
  const std::span part = std::span(page.entries).subspan(first, end - first);
  auto listing = std::make_shared<Listing>();
  listing->keep = found.page;
  const std::string origin_next = whole ? page.next : view.cursor.origin_next;
  const std::string after = whole ? "" : keyOf(page.entries[end - 1]);
  ViewCursor next{.held = {}, .origin_next = origin_next, .after = after, .started = true};
  if (view.raw) {
    for (const auto& entry : part) listing->entries.push_back(&entry);
  } else {
    ViewPage shown = viewOf(part, last ? "" : "more", std::move(view.cursor), !mount.origin->hasEmptyDirectories());
    if (first >= page.counted) sayHidden(mount, view.path, shown.hidden);
    page.counted = std::max(page.counted, end);
    listing->hidden = shown.hidden.size();
    listing->entries = std::move(shown.entries);
    listing->released = std::move(shown.released);
    next.held = std::move(shown.next.held);
  }
  if (!last) listing->next_cursor = next.encode();
  return {.page = std::move(listing), .ttl = found.ttl, .ask = {}};
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
  mount.origin->list(
      prefixOf(key.path), key.origin_next, max, asked + mount.request_timeout,
      [this, key, alive = std::weak_ptr(alive_)](const std::string& next) {
        if (alive.expired() || going_on_.erase(key) == 0 || mountOf(key.mount).splits_pages) return;
        pageAhead({key.mount, key.path, next}, {.ask_owner = false, .revalidate = false});
      },
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
  if (wireSize(kept) > kMaxPageBytes && max > 1) {
    mount.splits_pages = true;
    return pageFromOrigin(key, max / 2);
  }
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
  std::function<void(const core::AskNode&)> prepare;
  if (mount.ttl() > Duration{0}) prepare = [request](const core::AskNode& ask) { reader::sayHow(*request, ask); };
  owners_.ask({.slot = core::slotOfPath(mount.name, key.path),
               .type = wire::MessageType::ListRequest,
               .message = request,
               .prepare = std::move(prepare),
               .deadline = asked + kOwnerDeadline,
               .try_timeout = 20s},
              [this, key, asked](reader::OwnerAnswer answer) -> core::WalkEvent {
                if (const auto* a = std::get_if<reader::Answer>(&answer)) return ownersPage(key, asked, a->body);
                if (const auto* error = std::get_if<Error>(&answer))
                  pageFetched(key, fail(*error), Duration{0});
                else
                  pageFromOrigin(key, kPageNames);
                return core::Answered{};
              });
}

core::WalkEvent NameService::ownersPage(const PageKey& key, TimePoint asked, Bytes body) {
  const auto taken = [&](Result<OriginPage> page, Duration ttl) {
    pageFetched(key, std::move(page), ttl);
    return core::Answered{};
  };
  const auto answer = wire::parseMany<wire::pb::ListReply>(body);
  if (!answer) return taken(fail(answer.error()), Duration{0});
  wire::pb::ListReply& reply = **answer;
  if (reply.has_failure()) {
    const Error error = wire::fromMessage(reply.failure());
    if (error.code == Code::DeadlineExceeded) return core::TooSlow{};
    return taken(fail(error), Duration{0});
  }
  if (const auto event = reader::elsewhere(reply)) return *event;
  const auto next = ViewCursor::decode(reply.next_cursor());
  if (!next || !next->after.empty())
    return taken(fail(Code::Corrupt, "an owner's page of a listing ends in the middle"), Duration{0});
  OriginPage page{.entries = {}, .next = next->origin_next};
  page.entries.reserve(static_cast<std::size_t>(reply.entries_size()));
  for (auto& e : *reply.mutable_entries())
    page.entries.push_back({.name = std::move(*e.mutable_name()),
                            .directory = e.directory(),
                            .info = {e.size(), std::move(*e.mutable_version()), e.mtime_ns()}});
  if (!std::ranges::is_sorted(page.entries, keyBefore)) std::ranges::stable_sort(page.entries, keyBefore);
  return taken(std::move(page), std::chrono::milliseconds(reply.ttl_ms()) - (io::Reactor::now() - asked));
}

void NameService::pageFetched(const PageKey& key, Result<OriginPage> page, Duration ttl) {
  going_on_.erase(key);
  if (!page) {
    const Error error = std::move(page.error());
    return deliver(pages_.failed(key), &error, {});
  }
  page->entries.shrink_to_fit();
  if (ttl > Duration{0}) indexPage(key, *page);
  const std::size_t bytes = sizeOf(*page, key.path.size() + key.origin_next.size());
  deliver(pages_.answered(io::Reactor::now(), key, std::move(*page), ttl, bytes), nullptr, {});
}

// ---- which page has a name ----

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
