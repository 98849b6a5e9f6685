#include "node/opening.h"

#include <algorithm>

#include "base/checksum.h"

namespace forebay::node {
namespace {
constexpr std::size_t kScratch = 16 * kKiB;  // for bytes that nobody keeps
}

class Openings::Opening : public origin::OpenSink {
 public:
  Opening(Openings& owner, Mount& at, std::string object, std::uint32_t bytes, Callback callback)
      : mount(at), path(std::move(object)), most(bytes), done(std::move(callback)), owner_(&owner) {}

  // Nobody waits any more; an origin's call may still write, but not to the arena.
  void letGo() {
    place_.abandon();
    owner_ = nullptr;
  }

  void begins(const origin::ObjectInfo& info, std::uint64_t length) override {
    place_.abandon();
    placed_ = at_ = crc_ = 0;
    if (owner_ == nullptr || length == 0) return;
    const core::Plan plan = mount.plan(path, info);
    const std::uint32_t runs = length == plan.chunkLength(0) ? core::runsOf(0, plan.chunkLength(0)).end
                                                             : static_cast<std::uint32_t>(length / core::kRun);
    const core::RunSet present = owner_->arena_.present(plan.key, 0);
    for (std::uint32_t run = 0; run < runs; ++run)
      if (present.has(run)) return;
    if (runs == 0 || owner_->cell_.busy(core::chunkId(plan.key, 0))) return;
    bool ours = false;
    const core::Owners owners = owner_->cell_.map().owners(plan.first_slot);
    for (const core::NodeId node : owners.all()) ours |= node == owner_->self_;
    auto place = owner_->arena_.reserve(io::Reactor::now(), plan, {.chunk = 0, .runs = {0, runs}, .transit = !ours});
    if (!place) return;  // no room: its readers will wait for some
    place_ = std::move(*place);
    placed_ = place_.size();
  }

  MutableBytes room() override {
    if (owner_ != nullptr && at_ < placed_) return place_.roomAt(at_);
    scratch_.resize(kScratch);
    return scratch_;
  }

  // As in a fill from the origin: checksums are made here, granule by granule while the bytes are in the cache.
  void wrote(std::size_t n) override {
    if (owner_ == nullptr || at_ >= placed_) return;
    Bytes bytes = Bytes(place_.roomAt(at_)).first(n);
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min<std::size_t>(bytes.size(), core::kGranule - at_ % core::kGranule));
      crc_ = crc32c(part, crc_);
      at_ += static_cast<std::uint32_t>(part.size());
      bytes = bytes.subspan(part.size());
      if (at_ % core::kGranule != 0 && at_ != placed_) continue;
      const std::uint32_t crc = std::exchange(crc_, 0);
      place_.commit({&crc, 1});
    }
  }

  Mount& mount;
  const std::string path;
  const std::uint32_t most;
  Callback done;
  TimePoint asked{};
  int tries = 0;

 private:
  Openings* owner_;
  store::Reservation place_;
  std::uint32_t placed_ = 0;  // bytes that have a place in the arena
  std::uint32_t at_ = 0;      // of them have been written
  std::uint32_t crc_ = 0;     // of the granule that is being written
  std::vector<std::byte> scratch_;
};

Openings::~Openings() {
  alive_.reset();
  for (const auto& opening : running_) opening->letGo();
}

void Openings::open(Mount& mount, std::string path, std::uint32_t most, Callback done) {
  // Part of a run can't be kept unless the object ends there, and its reader would have the run fetched anew.
  const auto runs = static_cast<std::uint32_t>(divideUp(std::clamp<std::uint32_t>(most, 1, kMaxBytes), core::kRun));
  lines_[mount.id].waiting.push_back(
      std::make_shared<Opening>(*this, mount, std::move(path), runs * core::kRun, std::move(done)));
  startWaiting(mount.id);
}

void Openings::startWaiting(core::MountId mount) {
  Line& line = lines_[mount];
  while (line.running < kMaxAtOrigin && !line.waiting.empty()) {
    const auto opening = std::move(line.waiting.front());
    line.waiting.pop_front();
    ++line.running;
    running_.insert(opening);
    start(opening);
  }
}

void Openings::start(const std::shared_ptr<Opening>& opening) {
  ++opening->tries;
  opening->asked = io::Reactor::now();
  Mount& mount = opening->mount;
  mount.origin->open(opening->path, opening->most, *opening, opening->asked + mount.request_timeout,
                     [this, opening, alive = std::weak_ptr(alive_)](Result<origin::ObjectInfo> info) {
                       if (!alive.expired()) ended(opening, std::move(info));
                     });
}

void Openings::ended(const std::shared_ptr<Opening>& opening, Result<origin::ObjectInfo> info) {
  if (!info && info.error().code == Code::Gone && opening->tries < kTries) return start(opening);
  const core::MountId mount = opening->mount.id;
  running_.erase(opening);
  opening->letGo();
  --lines_[mount].running;
  const std::weak_ptr<int> alive = alive_;
  opening->done(info ? Result<Opened>(Opened{std::move(*info), opening->asked}) : Result<Opened>(fail(info.error())));
  if (!alive.expired()) startWaiting(mount);
}

}  // namespace forebay::node
