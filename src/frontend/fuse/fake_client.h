// For tests: a client over a tree in memory, whose answers can be delayed, withheld, refused or changed under a mount.
// Callbacks run on a thread of its own, as the contract of client::Client wants.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "client/client.h"

namespace forebay::fuse {

class FakeClient final : public client::Client {
 public:
  FakeClient() : thread_([this] { run(); }) {}
  ~FakeClient() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

  // --- the tree
  void put(const std::string& path, std::string bytes, std::string version = "v1") {
    const std::lock_guard lock(mutex_);
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
      directories_.insert(path.substr(0, slash));
    versions_[path] = version;
    bytes_[{path, std::move(version)}] = std::move(bytes);
  }
  // From now on a file of its bytes is given away; `complete` = false: not any more.
  void setComplete(const std::string& path, bool complete = true) {
    const std::lock_guard lock(mutex_);
    complete ? (void)complete_.insert(path) : (void)complete_.erase(path);
  }
  void putDirectory(const std::string& path) {
    const std::lock_guard lock(mutex_);
    directories_.insert(path);
  }
  // Its name goes; the bytes of its versions stay readable, as from a cache, until loseBytes.
  void remove(const std::string& path) {
    const std::lock_guard lock(mutex_);
    versions_.erase(path);
  }
  void loseBytes(const std::string& path, const std::string& version) {
    const std::lock_guard lock(mutex_);
    bytes_.erase({path, version});
  }
  // Listed, and not there when it is asked for.
  void vanish(const std::string& path) {
    const std::lock_guard lock(mutex_);
    vanished_.insert(path);
  }
  // What lookups without `revalidate` go on saying, as a cache would.
  void rememberStale(const std::string& path, const std::string& version) {
    const std::lock_guard lock(mutex_);
    stale_[path] = version;
  }
  void addRawName(const std::string& directory, std::string name) {
    const std::lock_guard lock(mutex_);
    raw_names_.emplace(directory, std::move(name));
  }
  void setHiddenPerPage(std::uint64_t hidden) {
    const std::lock_guard lock(mutex_);
    hidden_ = hidden;
  }
  void setTtl(Duration ttl) {
    const std::lock_guard lock(mutex_);
    ttl_ = ttl;
  }

  // --- how it answers
  void setDelay(Duration delay) {
    const std::lock_guard lock(mutex_);
    delay_ = delay;
  }
  // Answers are kept back until withhold(false); those never asked for come as Cancelled at the end.
  void withhold(bool on) {
    const std::lock_guard lock(mutex_);
    withhold_ = on;
    changed_.notify_all();
  }
  void failReads(std::optional<Code> code) {
    const std::lock_guard lock(mutex_);
    read_error_ = code;
  }
  void failLookups(std::optional<Code> code) {
    const std::lock_guard lock(mutex_);
    lookup_error_ = code;
  }
  void shortenReads(bool on) {
    const std::lock_guard lock(mutex_);
    shorten_ = on;
  }
  void limitPage(std::uint32_t names) {
    const std::lock_guard lock(mutex_);
    page_limit_ = names;
  }

  // --- what was asked
  struct Counts {
    std::uint64_t lookups = 0, revalidations = 0, lists = 0, reads = 0, wheres = 0;
    std::size_t largest_read = 0;
    std::uint64_t regions = 0;
    Duration last_wait{0};  // that a region was asked for with
    std::string last_reads;
  };
  Counts counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }
  std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
  }

  // --- client::Client
  void lookup(std::string path, bool revalidate, TimePoint deadline,
              client::Callback<client::Attributes> done) override {
    const std::lock_guard lock(mutex_);
    ++(revalidate ? counts_.revalidations : counts_.lookups);
    post(deadline, [this, path = std::move(path), revalidate, done = std::move(done)](bool cancelled) mutable {
      done(cancelled ? cancelledError() : doLookup(path, revalidate));
    });
  }
  void list(std::string path, std::string cursor, std::uint32_t max, TimePoint deadline,
            client::Callback<client::DirectoryPage> done) override {
    const std::lock_guard lock(mutex_);
    ++counts_.lists;
    post(deadline, [this, path = std::move(path), cursor = std::move(cursor), max, done = std::move(done)](
                       bool cancelled) mutable { done(cancelled ? cancelledError() : doList(path, cursor, max)); });
  }
  void read(const core::SharedPlan& plan, std::uint64_t offset, MutableBytes into, TimePoint deadline,
            client::Callback<std::size_t> done) override {
    const std::lock_guard lock(mutex_);
    ++counts_.reads;
    counts_.largest_read = std::max(counts_.largest_read, into.size());
    post(deadline,
         [this, path = plan->path, version = plan->version, offset, into, done = std::move(done)](
             bool cancelled) mutable { done(cancelled ? cancelledError() : doRead(path, version, offset, into)); });
  }
  void region(const core::Plan& plan, const client::RegionWish& wish, TimePoint deadline,
              client::Callback<io::Descriptor> done) override {
    const std::lock_guard lock(mutex_);
    ++counts_.regions;
    counts_.last_wait = wish.wait;
    counts_.last_reads = wish.reads;
    post(deadline, [this, path = plan.path, version = plan.version, done = std::move(done)](bool cancelled) mutable {
      done(cancelled ? cancelledError() : doRegion(path, version));
    });
  }
  void where(std::string path, TimePoint deadline, client::Callback<client::Where> done) override {
    const std::lock_guard lock(mutex_);
    ++counts_.wheres;
    post(deadline, [this, path = std::move(path), done = std::move(done)](bool cancelled) mutable {
      done(cancelled ? cancelledError() : doWhere(path));
    });
  }

 private:
  using Call = std::move_only_function<void(bool cancelled)>;
  static std::unexpected<Error> cancelledError() { return fail(Code::Cancelled, "the client is ending"); }

  void post(TimePoint, Call call) {
    queue_.emplace(std::chrono::steady_clock::now() + delay_, std::move(call));
    changed_.notify_all();
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (ending_) break;
      if (queue_.empty() || withhold_) {
        changed_.wait(lock);
        continue;
      }
      const TimePoint due = queue_.begin()->first;
      if (due > std::chrono::steady_clock::now()) {
        changed_.wait_until(lock, due);
        continue;
      }
      Call call = std::move(queue_.extract(queue_.begin()).mapped());
      lock.unlock();
      call(false);
      call = nullptr;
      lock.lock();
    }
    auto left = std::move(queue_);
    lock.unlock();
    for (auto& [due, call] : left) call(true);
  }

  core::Plan planOf(const std::string& path, const std::string& version) const {
    core::Plan plan{.path = path, .version = version, .mtime_ns = 1'700'000'000'123'456'789};
    if (const auto found = bytes_.find({path, version}); found != bytes_.end()) plan.size = found->second.size();
    return plan;
  }

  Result<client::Attributes> doLookup(const std::string& path, bool revalidate) {
    const std::lock_guard lock(mutex_);
    if (lookup_error_) return fail(*lookup_error_, "lookup " + path + ": as the test wants");
    if (path.empty() || directories_.contains(path))
      return client::Attributes{.directory = true, .plan = {}, .ttl = ttl_};
    if (vanished_.contains(path)) return fail(Code::NotFound, path + ": vanished");
    if (revalidate) stale_.erase(path);
    if (const auto stale = stale_.find(path); stale != stale_.end())
      return client::Attributes{.plan = planOf(path, stale->second), .ttl = ttl_};
    const auto found = versions_.find(path);
    if (found == versions_.end()) return fail(Code::NotFound, path + ": no such object");
    return client::Attributes{.plan = planOf(path, found->second), .ttl = ttl_};
  }

  Result<client::DirectoryPage> doList(const std::string& path, const std::string& cursor, std::uint32_t max) {
    const std::lock_guard lock(mutex_);
    std::map<std::string, client::DirectoryEntry> names;
    const std::string prefix = path.empty() ? "" : path + "/";
    const auto below = [&](const std::string& full) {
      return full.starts_with(prefix) && full.size() > prefix.size() &&
             full.find('/', prefix.size()) == std::string::npos;
    };
    for (auto at = versions_.lower_bound(prefix); at != versions_.end() && at->first.starts_with(prefix); ++at) {
      if (!below(at->first)) continue;
      const core::Plan plan = planOf(at->first, at->second);
      const std::string name = at->first.substr(prefix.size());
      names[name] = {.name = name, .size = plan.size, .version = plan.version, .mtime_ns = plan.mtime_ns};
    }
    for (const std::string& directory : directories_)
      if (below(directory)) {
        const std::string name = directory.substr(prefix.size());
        names[name] = {.name = name, .directory = true};
      }
    for (auto [at, end] = raw_names_.equal_range(path); at != end; ++at)
      names[at->second] = {.name = at->second, .size = 1, .version = "raw"};

    client::DirectoryPage page{.hidden = hidden_, .ttl = ttl_};
    for (auto at = cursor.empty() ? names.begin() : names.upper_bound(cursor); at != names.end(); ++at) {
      if (page.entries.size() == std::min(max, page_limit_)) {
        page.next_cursor = page.entries.back().name;
        break;
      }
      page.entries.push_back(at->second);
    }
    return page;
  }

  Result<std::size_t> doRead(const std::string& path, const std::string& version, std::uint64_t offset,
                             MutableBytes into) {
    const std::lock_guard lock(mutex_);
    if (read_error_) return fail(*read_error_, "read " + path + ": as the test wants");
    const auto found = bytes_.find({path, version});
    if (found == bytes_.end()) return fail(Code::Gone, path + ": version " + version + " has left the origin");
    const std::string& bytes = found->second;
    if (offset >= bytes.size()) return 0;
    std::size_t length = std::min<std::size_t>(into.size(), bytes.size() - offset);
    if (shorten_) length /= 2;
    std::memcpy(into.data(), bytes.data() + offset, length);
    return length;
  }

  Result<io::Descriptor> doRegion(const std::string& path, const std::string& version) {
    const std::lock_guard lock(mutex_);
    const auto found = bytes_.find({path, version});
    if (!complete_.contains(path) || found == bytes_.end()) return fail(Code::NotFound, path + ": not complete here");
    const io::Descriptor written(memfd_create("region", MFD_CLOEXEC));
    const auto size = static_cast<ssize_t>(found->second.size());
    if (::write(written.get(), found->second.data(), found->second.size()) != size)
      return fail(Code::Internal, "write to a memfd");
    return io::Descriptor(::open(("/proc/self/fd/" + std::to_string(written.get())).c_str(), O_RDONLY | O_CLOEXEC));
  }

  Result<client::Where> doWhere(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto found = versions_.find(path);
    if (found == versions_.end()) return fail(Code::NotFound, path + ": no such object");
    return client::Where{.plan = planOf(path, found->second),
                         .chunks = {{.chunk = 0, .holders = {{"node-b", 100}, {"node-a", 40}}},
                                    {.chunk = 1, .holders = {{"node-a", 11}, {"node-c", 0}}}}};
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> versions_;
  std::map<std::pair<std::string, std::string>, std::string> bytes_;
  std::set<std::string> directories_;
  std::set<std::string> vanished_;
  std::map<std::string, std::string> stale_;
  std::multimap<std::string, std::string> raw_names_;
  std::uint64_t hidden_ = 0;
  Duration ttl_ = 30s;
  Duration delay_{0};
  bool withhold_ = false;
  bool shorten_ = false;
  std::uint32_t page_limit_ = UINT32_MAX;
  std::optional<Code> read_error_, lookup_error_;
  Counts counts_;
  std::set<std::string> complete_;
  std::multimap<TimePoint, Call> queue_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace forebay::fuse
