// Memory that is kept, or made ready, for objects to come: who makes it, takes it, and gives it back.
#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "store/arena_impl.h"

namespace forebay::store {
namespace {
constexpr std::uint64_t kMostReady = 256 * kMiB;
constexpr std::uint64_t kReadyPart = 16;    // of the capacity
constexpr std::uint64_t kPiece = 4 * kMiB;  // written at once: a few milliseconds
}  // namespace

// ---- taking and giving back

bool Arena::Impl::makeRegion(Object& object) {
  const int directory = arena.options_.directory->directory.get();
  std::optional<SpareFile> file = spares.take(object.size);
  if (!file) {
    auto made = SpareFile::create(directory, std::to_string(next_region_name++), object.size);
    if (!made) {
      log::warn("arena", "{}: this object lives in slabs", made.error().text());
      return false;
    }
    file.emplace(std::move(*made));
  }
  auto region = ObjectRegion::create(directory, std::move(*file));
  if (!region) {
    log::warn("arena", "{}: this object lives in slabs", region.error().text());
    return false;
  }
  object.region = std::move(*region);
  ++regions;
  index_bytes += detail::kRegionCost;
  region_bytes += object.region->blockBytes();
  ready_bytes += object.region->readyBytes();
  std::erase_if(begun_ready, [](const auto& old) { return old.expired(); });
  if (object.region->readyBytes() != 0) begun_ready.push_back(object.region);
  last_region_size = object.size;
  makes_none = false;
  if (arena.options_.wants_pages) arena.options_.wants_pages();
  return true;
}

bool Arena::Impl::reserveRegionPage(ObjectRegion& region, std::uint64_t number, std::uint64_t limit) {
  if (!region.ready(number) && !room(region.pageBytes(number), limit)) return false;
  const bool was_ready = region.ready(number);  // room may have taken it
  const std::uint64_t before = region.blockBytes(), ready_before = region.readyBytes();
  const bool reserved = region.reservePage(number);
  region_bytes += region.blockBytes() - before;
  ready_bytes -= ready_before - region.readyBytes();
  if (reserved) (was_ready ? ready_pages_counter : fresh_pages_counter).add();
  return reserved;
}

void Arena::Impl::retireRegion(Object& object) {
  if (object.region != nullptr && isHome(object)) object.region->retire();
}

bool Arena::Impl::giveSparesBack(std::uint64_t bytes) {
  if (making && !making_now) fileIsMade();
  if (spares.giveBack(bytes)) return true;
  while (!begun_ready.empty()) {
    const std::shared_ptr<ObjectRegion> region = begun_ready.back().lock();
    begun_ready.pop_back();
    if (region == nullptr || region->readyBytes() == 0) continue;
    const std::uint64_t before = region->blockBytes(), ready_before = region->readyBytes();
    region->freeReady();
    region_bytes -= before - region->blockBytes();
    ready_bytes -= ready_before;
    return true;
  }
  return false;
}

// ---- making

std::uint64_t Arena::Impl::sparesToHave() const {
  return std::min(kMostReady, roundDown(arena.options_.capacity_bytes / kReadyPart, kPage));
}

bool Arena::Impl::startFile() {
  const std::uint64_t most = sparesToHave(), size = roundDown(std::min(last_region_size, most), kPage);
  if (size == 0 || spares.bytes() + size > most) return false;
  auto file = SpareFile::create(arena.options_.directory->directory.get(), std::to_string(next_region_name++), size);
  if (!file) return false;
  making.emplace(std::move(*file));
  return true;
}

void Arena::Impl::fileIsMade() {
  assert(making && !making_now);
  spares.keep(std::move(*making));
  making.reset();
  making_bytes = 0;
}

std::optional<PagesToMakeReady> Arena::pagesToMakeReady() {
  Impl& impl = *impl_;
  if (!options_.directory || impl.making_now || impl.makes_none) return std::nullopt;
  if (!impl.making && !impl.startFile()) return std::nullopt;
  const std::uint64_t piece = std::min(kPiece, impl.making->size() - impl.making_bytes);
  io::Descriptor file;
  if (impl.freeBytes() >= 2 * impl.sparesToHave() && impl.used() + piece <= impl.usual())
    file = io::Descriptor(::fcntl(impl.making->fd(), F_DUPFD_CLOEXEC, 0));
  if (!file.valid()) {
    impl.fileIsMade();
    return std::nullopt;
  }
  PagesToMakeReady pages(std::move(file), impl.making_bytes, piece);
  impl.making_bytes += piece;
  impl.making_now = true;
  impl.updateMetrics();
  return pages;
}

void PagesToMakeReady::write() {
  // By write, not through a mapping: a thread that is kept from its core while it holds the process's map would keep
  // the loop from mapping. And what isn't there is ENOSPC, not SIGBUS.
  static constexpr std::array<std::byte, 64 * kKiB> kZeros{};
  std::array<iovec, kPiece / kZeros.size()> pieces;
  pieces.fill({const_cast<std::byte*>(kZeros.data()), kZeros.size()});
  while (written_ < bytes_) {
    const int count = static_cast<int>((bytes_ - written_) / kZeros.size());
    const ssize_t wrote = ::pwritev(file_.get(), pieces.data(), count, static_cast<off_t>(offset_ + written_));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    written_ += static_cast<std::uint64_t>(wrote);
  }
}

void Arena::madeReady(const PagesToMakeReady& pages) {
  Impl& impl = *impl_;
  assert(impl.making && impl.making_now);
  impl.making_now = false;
  impl.making->markReady(pages.offset_ / kPage, pages.written_ / kPage);
  if (pages.written_ != pages.bytes_) {
    impl.makes_none = true;
    (void)impl.making->resize(roundDown(pages.offset_ + pages.written_, kPage));  // what fails stays counted
  }
  impl.making_bytes = impl.making->bytes();
  if (impl.makes_none || pages.offset_ + pages.bytes_ == impl.making->size()) impl.fileIsMade();
  impl.updateMetrics();
}

void Arena::ageSpares() {
  impl_->spares.age(impl_->sparesToHave());
  impl_->updateMetrics();
}

}  // namespace forebay::store
