#include "cli/verifier.h"

#include <algorithm>
#include <fmt/format.h>
#include <thread>

#include "base/hash.h"
#include "cli/units.h"

namespace forebay::cli {

std::string_view findingName(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::Missing:
      return "missing";
    case Finding::Kind::Extra:
      return "extra";
    case Finding::Kind::Differs:
      return "differs";
    case Finding::Kind::Failed:
      break;
  }
  return "failed";
}

Verifier::Verifier(SortedNames& here, SortedNames& origin, Digest digest, Report report, Progress& progress,
                   Options options)
    : here_(here),
      origin_(origin),
      digest_(std::move(digest)),
      report_(std::move(report)),
      progress_(progress),
      options_(options) {}

Status Verifier::run() {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::clamp(options_.in_flight, 1U, 256U); ++i) threads.emplace_back([this] { work(); });
  Status listed = compareNames();
  progress_.listed();
  {
    const std::lock_guard lock(mutex_);
    listing_ = false;
  }
  work_.notify_all();
  for (std::thread& thread : threads) thread.join();
  return listed;
}

// Both sides in the same order: the smaller path of the two is one that the other side hasn't.
Status Verifier::compareNames() {
  auto here = TRY(here_.next());
  auto origin = TRY(origin_.next());
  while (here || origin) {
    if (here && !here->trouble.empty()) {
      found(Finding::Kind::Failed, here->path, here->trouble);
      if (origin && origin->path == here->path) origin = TRY(origin_.next());
      here = TRY(here_.next());
    } else if (!origin || (here && here->path < origin->path)) {
      found(Finding::Kind::Extra, here->path, "");
      here = TRY(here_.next());
    } else if (!here || origin->path < here->path) {
      ++counts_.objects;
      found(Finding::Kind::Missing, origin->path, "");
      origin = TRY(origin_.next());
    } else {
      ++counts_.objects;
      compare(std::move(*here), std::move(*origin));
      here = TRY(here_.next());
      origin = TRY(origin_.next());
    }
  }
  return {};
}

void Verifier::compare(SortedObject here, SortedObject origin) {
  if (here.size != origin.size)
    return found(Finding::Kind::Differs, here.path, fmt::format("{} bytes, the origin has {}", here.size, origin.size));
  if (!here.version.empty() && here.version != origin.version)
    return found(Finding::Kind::Differs, here.path,
                 fmt::format("version {}, the origin has {}", printable(here.version), printable(origin.version)));
  const bool read = !options_.size_only && !origin.md5.empty();
  progress_.found(read ? here.size : 0);
  if (!read) {
    progress_.objectDone();
    const std::lock_guard lock(mutex_);
    ++counts_.size_only;
    return;
  }
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return waiting_.size() < kMaxAhead; });
  waiting_.push_back({std::move(here), std::move(origin)});
  lock.unlock();
  work_.notify_one();
}

void Verifier::found(Finding::Kind kind, std::string path, std::string why) {
  const std::lock_guard lock(mutex_);
  ++(kind == Finding::Kind::Missing   ? counts_.missing
     : kind == Finding::Kind::Extra   ? counts_.extra
     : kind == Finding::Kind::Differs ? counts_.differs
                                      : counts_.failed);
  report_({.kind = kind, .path = std::move(path), .why = std::move(why)});
}

void Verifier::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return !waiting_.empty() || !listing_; });
    if (waiting_.empty()) return;
    const Pair pair = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    room_.notify_one();
    check(pair);
    lock.lock();
  }
}

void Verifier::check(const Pair& pair) {
  std::uint64_t bytes = 0;
  const auto md5 = digest_(pair.here, [&](std::uint64_t more) {
    bytes += more;
    progress_.advanced(more);
  });
  const bool same = md5 && *md5 == pair.origin.md5;
  {
    const std::lock_guard lock(mutex_);
    counts_.bytes += bytes;
    if (same) ++counts_.checksummed;
    if (md5 && !same) ++counts_.wrong_checksums;
  }
  if (!md5) {
    progress_.failed(pair.here.path, md5.error(), pair.here.size - std::min(bytes, pair.here.size));
    return found(Finding::Kind::Failed, pair.here.path, md5.error().message);
  }
  progress_.objectDone();
  if (!same)
    found(Finding::Kind::Differs, pair.here.path,
          fmt::format("its bytes have the MD5 {}, the origin says {}", hex(bytesOf(*md5)),
                      hex(bytesOf(pair.origin.md5))));
}

}  // namespace forebay::cli
