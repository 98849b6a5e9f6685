#include "cli/part_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/hash.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

constexpr std::uint64_t kSaveBytes = 64 * kMiB;
constexpr std::chrono::seconds kSaveEvery{1};
constexpr std::size_t kMaxComponent = 255;

Status writeAll(int fd, std::uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Status readAll(int fd, std::uint64_t offset, MutableBytes into) {
  while (!into.empty()) {
    const ssize_t n = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("read", errno);
    if (n == 0) return fail(Code::Corrupt, "the file is shorter than what was written");
    into = into.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace

PartFile::PartFile(Wanted wanted, std::string part_path)
    : wanted_(std::move(wanted)),
      part_path_(std::move(part_path)),
      state_(PartState::of(wanted_.size, wanted_.version)),
      saved_at_(std::chrono::steady_clock::now()) {}

PartFile::~PartFile() {
  if (!fd_.valid() || kept_) return;
  // A single piece has no state that could be gone on from.
  if (state_.pieces() > 1 && state_.presentBytes() > 0) {
    (void)save();
    return;
  }
  ::unlink(part_path_.c_str());
}

std::string PartFile::partPathOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::size_t start = slash == std::string::npos ? 0 : slash + 1;
  if (path.size() - start + kPartEnding.size() <= kMaxComponent) return path + std::string(kPartEnding);
  // A name that leaves no room for the ending: its beginning, and a hash of all of it.
  return fmt::format("{}~{:016x}{}", path.substr(0, start + 200), hash64(std::string_view(path).substr(start)),
                     kPartEnding);
}

bool PartFile::isThere(const Wanted& wanted) {
  struct stat info{};
  if (wanted.mtime_ns == 0 || ::lstat(wanted.path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  // In seconds: not every file system keeps more.
  return static_cast<std::uint64_t>(info.st_size) == wanted.size &&
         info.st_mtim.tv_sec == wanted.mtime_ns / 1'000'000'000;
}

Result<std::unique_ptr<PartFile>> PartFile::open(Wanted wanted) {
  struct stat info{};
  if (::lstat(wanted.path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return fail(Code::InvalidArgument, "a directory has that name");
    if (!wanted.overwrite)
      return fail(Code::InvalidArgument,
                  "a file of that name is there, and isn't this object (--overwrite replaces it)");
  } else if (errno != ENOENT) {
    return failErrno("look for " + printable(wanted.path), errno);
  }
  if (wanted.version.size() > PartState::kMaxVersion) wanted.version = hex(sha256(bytesOf(wanted.version)));
  std::string part_path = partPathOf(wanted.path);
  auto part = std::unique_ptr<PartFile>(new PartFile(std::move(wanted), std::move(part_path)));
  TRY(part->openAndLock());
  part->recall();
  TRY(part->prepare());
  return part;
}

std::unexpected<Error> PartFile::failed(std::string_view what, int error) const {
  return failErrno(fmt::format("{} {}", what, printable(part_path_)), error);
}

Status PartFile::openAndLock() {
  for (;;) {
    io::Descriptor fd(::open(part_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd.valid()) return failed("make", errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
      return fail(Code::Busy, fmt::format("another process is writing {}", printable(part_path_)));
    // Whoever had the lock may have finished in between: then this is the whole file, under its own name.
    struct stat mine{}, named{};
    if (::fstat(fd.get(), &mine) != 0) return failed("look at", errno);
    if (!S_ISREG(mine.st_mode))
      return fail(Code::InvalidArgument, fmt::format("{} isn't a file", printable(part_path_)));
    if (::lstat(part_path_.c_str(), &named) != 0 || named.st_ino != mine.st_ino || named.st_dev != mine.st_dev)
      continue;
    fd_ = std::move(fd);
    start_ = mine.st_size == 0 ? Start::Fresh : Start::Restarted;
    return {};
  }
}

// What an earlier attempt has left, if it is of this version.
void PartFile::recall() {
  if (state_.pieces() <= 1) start_ = Start::Fresh;  // it begins anew anyhow
  if (start_ == Start::Fresh) return;
  const PartState wanted = state_;
  std::vector<std::byte> bytes(wanted.copyRoom());
  for (const std::uint64_t copy : {0U, 1U}) {
    if (!readAll(fd_.get(), wanted.copyAt(copy), bytes)) continue;
    auto found = PartState::decode(bytes);
    if (!found || !found->sameObject(wanted) || (start_ == Start::Resumed && found->number < state_.number)) continue;
    state_ = std::move(*found);
    start_ = Start::Resumed;
  }
  at_start_ = state_.presentBytes();
  if (start_ == Start::Resumed && at_start_ == 0) start_ = Start::Fresh;
}

Status PartFile::prepare() {
  if (start_ != Start::Resumed && ::ftruncate(fd_.get(), 0) != 0) return failed("empty", errno);
  const std::uint64_t size = state_.pieces() > 1 ? state_.fileSize() : state_.size;
  if (size == 0 || ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)) == 0) return begin();
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
    const int error = errno;
    struct statvfs disk{};
    const std::uint64_t left = ::fstatvfs(fd_.get(), &disk) == 0 ? disk.f_bavail * disk.f_frsize : 0;
    return failErrno(
        fmt::format("reserve {} for {} ({} are free)", humanSize(size), printable(wanted_.path), humanSize(left)),
        error);
  }
  // A file system that can't reserve: then a full disk shows when it is full.
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return failed("enlarge", errno);
  return begin();
}

// Whose partial file this is, from the first moment.
Status PartFile::begin() {
  if (state_.pieces() <= 1 || start_ == Start::Resumed) return {};
  return write(state_.copyAt(0), state_.encode());
}

std::vector<std::uint64_t> PartFile::missing() const {
  std::vector<std::uint64_t> pieces;
  for (std::uint64_t piece = 0; piece < state_.pieces(); ++piece)
    if (!state_.present[piece]) pieces.push_back(piece);
  return pieces;
}

Status PartFile::write(std::uint64_t offset, Bytes bytes) {
  const Status written = writeAll(fd_.get(), offset, bytes);
  if (!written) return fail(written.error().code, printable(part_path_) + ": " + written.error().message);
  return {};
}

Status PartFile::read(std::uint64_t offset, MutableBytes into) const {
  const Status got = readAll(fd_.get(), offset, into);
  if (!got) return fail(got.error().code, printable(part_path_) + ": " + got.error().message);
  return {};
}

Status PartFile::pieceDone(std::uint64_t piece) {
  const std::lock_guard lock(mutex_);
  state_.present[piece] = true;
  unsaved_ += state_.pieceLength(piece);
  const bool due = unsaved_ >= kSaveBytes || std::chrono::steady_clock::now() - saved_at_ >= kSaveEvery;
  return due && state_.pieces() > 1 ? save() : Status();
}

// The bytes first: a state that speaks of bytes that a crash took would be believed.
Status PartFile::save() {
  if (::fdatasync(fd_.get()) != 0) return failed("sync", errno);
  ++state_.number;
  const Status written = writeAll(fd_.get(), state_.copyAt(state_.number % 2), state_.encode());
  if (!written) return failed("write the state of", EIO);
  unsaved_ = 0;
  saved_at_ = std::chrono::steady_clock::now();
  return {};
}

Status PartFile::finish() {
  if (::ftruncate(fd_.get(), static_cast<off_t>(wanted_.size)) != 0) return failed("cut", errno);
  if (wanted_.mtime_ns != 0) {
    const timespec time{.tv_sec = wanted_.mtime_ns / 1'000'000'000, .tv_nsec = wanted_.mtime_ns % 1'000'000'000};
    const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, time};
    (void)::futimens(fd_.get(), times);  // a file system without such times: the next `get` brings it again
  }
  if (::fsync(fd_.get()) != 0) return failed("sync", errno);
  int renamed = -1;
  if (!wanted_.overwrite)
    renamed = ::renameat2(AT_FDCWD, part_path_.c_str(), AT_FDCWD, wanted_.path.c_str(), RENAME_NOREPLACE);
  // EINVAL: a file system that can't say "unless it is there"; that was looked at when this began.
  if (wanted_.overwrite || (renamed != 0 && errno == EINVAL))
    renamed = ::rename(part_path_.c_str(), wanted_.path.c_str());
  if (renamed != 0) return failed("rename", errno);
  kept_ = true;
  return {};
}

void PartFile::discard() {
  ::unlink(part_path_.c_str());
  kept_ = true;
}

}  // namespace forebay::cli
