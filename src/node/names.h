// Names and what they stand for: plans and listings, asked of the origin once per cell and time to live.
//
// A name's owner (the primary of its path's slot) asks the origin; every other node asks the owner, and everybody keeps
// the answer for as long as the mount's consistency allows, counted from the moment that the origin was asked. A
// listing's entries are plans too, found in its pages, so reading a directory's files costs no request per name. Pages
// are kept as the origin gave them, one for all askers, whatever view and how many names they want. While an owner
// can't be reached an alternate, or the node itself, asks the origin in its place. An owner whose answer is hot names
// others who know it (core/name_spread.h); they answer from what they know, for as long as it may be used. Whoever asks
// for a directory's second page will ask for its third: the page after one that was asked for so is asked for ahead.
//
// Two views of a path. The POSIX view is a mount's: a directory, or an object if no prefix of its name is there. The
// object view is the CLI's: an object of exactly that name, whatever else there is.
//
// Threading: the node's loop. Callbacks run in it, possibly inside the call when the answer is known. Bounds: what is
// kept counts by bytes (NameCacheLimits); a caller's deadline is kept here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/chunk_server.h"
#include "core/name_cache.h"
#include "core/name_spread.h"
#include "core/owner_walk.h"
#include "io/reactor.h"
#include "node/directory_view.h"
#include "node/mounts.h"
#include "node/name_waiters.h"
#include "node/opening.h"
#include "reader/channels.h"
#include "reader/owner_calls.h"
#include "wire/messages.h"

namespace forebay::node {

struct NameAnswer {
  enum class Kind : std::uint8_t { Absent, Directory, Object } kind = Kind::Absent;
  core::Plan plan;  // of an object
};

struct Listing {
  std::vector<const origin::ListEntry*> entries;  // of the page, which `keep` holds, and of `released`
  std::shared_ptr<const void> keep;
  std::vector<origin::ListEntry> released;
  std::string next_cursor;  // empty: the last page
  std::uint64_t hidden = 0;
};

struct ResolveOptions {
  bool object_only = false;
  bool revalidate = false;
  bool ask_owner = false;  // false: this node was asked as the owner, and asks the origin itself
  // With object_only: an object that has to be asked for at the origin is opened there with so many of its first bytes,
  // which are in the owner's arena when the answer comes (node/opening.h). 0: none.
  std::uint32_t fill_up_to = 0;
  core::NameAsker asker;
  bool no_fetch = false;  // this node was named by the owner: what isn't known here, or coming, is a miss
};

struct ListOptions {
  std::uint32_t max = 5'000;  // names
  bool raw = false;           // every name as the origin has it
  bool ask_owner = false;     // these as in ResolveOptions
  core::NameAsker asker;
  bool no_fetch = false;
};

class NameService {
 public:
  template <class T>
  using Callback = std::move_only_function<void(Result<T>)>;
  struct Resolved {
    std::shared_ptr<const NameAnswer> answer;  // null: `ask` knows it; if that is empty: it isn't known here
    Duration ttl{0};
    TimePoint until{};
    std::vector<core::NodeId> ask;
  };
  struct Listed {
    std::shared_ptr<const Listing> page;  // null: as above
    Duration ttl{0};
    std::vector<core::NodeId> ask;
  };
  struct Deps {
    io::Reactor& reactor;
    core::NodeId self;
    core::ChunkServer& cell;  // the map, and what is known of peers
    reader::Channels& channels;
    Mounts& mounts;
    Metrics& metrics;
    core::NameCacheLimits limits;       // of plans
    core::NameCacheLimits page_limits;  // of listings' pages
    std::uint64_t seed;
    Openings* openings = nullptr;   // null: objects are looked up, never opened
    store::Arena* arena = nullptr;  // for bytes that come with plans (node/plan_bytes.h); null: none are asked for
  };

  explicit NameService(Deps deps);

  // `answer->kind` is Absent if there is nothing of that name, which may be believed for its ttl too. NotFound: there
  // can't be.
  void resolve(Mount& mount, std::string path, ResolveOptions options, TimePoint deadline, Callback<Resolved> done);
  // While one lives, questions to other nodes are collected, and at its end each owner gets one with all of its names:
  //   { NameService::Batch batch(names); for (...) names.resolve(...); }
  class Batch {
   public:
    explicit Batch(NameService& names) : names_(names) { ++names_.batches_; }
    ~Batch() {
      if (--names_.batches_ == 0) names_.askOwners();
    }
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

   private:
    NameService& names_;
  };
  // NotFound if there is no such directory.
  void list(Mount& mount, std::string path, const std::string& cursor, const ListOptions& options, TimePoint deadline,
            Callback<Listed> done);

  // What is known of that name is wrong, here and perhaps at its owner: the next to ask gets it from the origin.
  void forget(core::MountId mount, const std::string& path);

  // Nothing is known of the names at and below that path any more ("" is all of the mount), nor of what its directory's
  // listing says of it, and what is on its way is kept for nobody: the next look asks the origin, or its owner. How
  // many answers that was.
  std::size_t refresh(core::MountId mount, const std::string& path);

  std::size_t bytes() const { return names_.bytes() + pages_.bytes(); }

 private:
  struct NameKey {
    core::MountId mount;
    bool object_only;
    std::string path;
    auto operator<=>(const NameKey&) const = default;
  };
  // A page as the origin gave it, whoever asked for how much of it in which view: so none comes twice.
  struct PageKey {
    core::MountId mount;
    std::string path;
    std::string origin_next;  // where the page before it ended; empty: the first
    auto operator<=>(const PageKey&) const = default;
  };
  struct OriginPage {
    std::vector<origin::ListEntry> entries;  // in the order of their keys
    std::string next;                        // empty: the last page
    mutable std::size_t counted = 0;         // entries up to here were looked at for hidden names
  };
  using Names = core::NameCache<NameKey, NameAnswer>;
  using Pages = core::NameCache<PageKey, OriginPage>;
  struct PageFound {
    std::shared_ptr<const OriginPage> page;
    Duration ttl{0};
    TimePoint until{};
  };
  struct ListedEntry {
    PageKey page;
    const origin::ListEntry* entry = nullptr;  // null: the page would have it, and hasn't
    bool prefix_known = false;                 // whether a prefix of its name would be on this page too
    std::shared_ptr<const OriginPage> keep;
    Duration ttl{0};
  };

  struct Source {  // of a fetch that an outcome asks for
    bool ask_owner = true;
    bool revalidate = true;
    std::uint32_t fill_up_to = 0;
  };
  // What names of one question to a node have in common.
  struct Group {
    core::NodeId owner;
    core::MountId mount;
    bool object_only;
    bool revalidate;
    std::uint32_t fill_up_to;
    auto operator<=>(const Group&) const = default;
  };
  void deliver(Names::Outcome outcome, const Error* error, Source source);
  void deliver(Pages::Outcome outcome, const Error* error, Source source);
  bool knownHere(const NameKey& key);
  bool knownHere(const PageKey& key);
  Callback<Resolved> orOthers(const NameKey& key, core::NameAsker asker, Callback<Resolved> done);
  std::vector<core::NodeId> othersWhoKnow(const core::NameSpread::Answer& answer, const core::NameAsker& asker);

  struct OriginLookup;
  void fetchName(const NameKey& key, Source source);
  void nameFromOrigin(const NameKey& key, std::uint32_t fill_up_to = 0);
  void openAtOrigin(const NameKey& key, std::uint32_t fill_up_to);
  void lookedUp(const NameKey& key, OriginLookup& lookup);
  void nameFromOwner(const NameKey& key, Source source);
  void askOwners();
  void askOwner(const Group& group, std::vector<NameKey> keys);
  core::WalkEvent ownersNames(const Group& group, const std::vector<NameKey>& keys, TimePoint asked, Bytes body);
  void ownersName(const NameKey& key, TimePoint asked, const wire::pb::Resolved& item);
  void nameFetched(const NameKey& key, Result<NameAnswer> answer, Duration ttl);

  void fetchPage(const PageKey& key, Source source);
  void pageFromOrigin(const PageKey& key, std::uint32_t max);
  void originPage(const PageKey& key, TimePoint asked, std::uint32_t max, origin::ListPage page);
  void pageFromOwner(const PageKey& key);
  core::WalkEvent ownersPage(const PageKey& key, TimePoint asked, Bytes body);
  void pageFetched(const PageKey& key, Result<OriginPage> page, Duration ttl);
  struct View {  // what one asker wants of a page
    core::MountId mount;
    std::string path;
    ViewCursor cursor;
    std::uint32_t max;
    bool raw;
  };
  void pageAhead(const PageKey& key, Source source);
  Listed viewed(View view, const PageFound& found);
  Listed viewedOrOthers(View view, const PageFound& found, const core::NameAsker& asker);
  void indexPage(const PageKey& key, const OriginPage& page);
  std::optional<ListedEntry> listed(core::MountId mount, const std::string& path);
  void takeFromListing(const NameKey& key);
  void dropIfOther(const NameKey& key, const NameAnswer& answer);
  void sayHidden(Mount& mount, const std::string& directory, const std::vector<std::string>& names);

  bool owner(const Mount& mount, const std::string& path) const;
  Mount& mountOf(core::MountId id) { return *deps_.mounts.find(id); }

  Deps deps_;
  reader::OwnerCalls owners_;
  Names names_;
  Pages pages_;
  // Pages that may be known, by directory and first key: what pages_ has dropped since is dropped here when it is
  // noticed.
  std::map<std::pair<core::MountId, std::string>, std::map<std::string, std::string>> pages_by_first_;
  std::size_t indexed_ = 0;
  int batches_ = 0;  // that are open
  std::map<Group, std::vector<NameKey>> to_ask_;
  std::set<NameKey> doubted_;  // forgotten, and not asked for since; at most kMaxDoubted
  core::NameSpread spread_;
  NameWaiters<Resolved> name_waiters_;
  NameWaiters<PageFound> page_waiters_;
  std::size_t pages_ahead_ = 0;  // on their way
  std::set<PageKey> going_on_;   // on their way, wanted by somebody who goes on: the next one is asked for, too
  Counter& name_hits_;
  Counter& name_misses_;
  Counter& name_asks_;
  Counter& name_in_stead_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
