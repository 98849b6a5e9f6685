#include "node/manifest.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"

namespace forebay::node {
namespace {

constexpr std::size_t kBlock = 16 * kKiB;  // of lines, and never cut within one: 5 µs to read again from the page cache
constexpr std::size_t kReadAhead = kMiB;   // while the whole file is checked
constexpr char kAfterSlash = '/' + 1;      // what follows all names below "dir/" is "dir0"

// A cursor of list(): '=' and the key of the last entry, so that the key of an object without a name isn't the start.
constexpr char kCursorMark = '=';

// As many bytes as there are, up to `size`.
Result<std::size_t> readAt(int fd, std::uint64_t offset, char* to, std::size_t size, const std::string& file) {
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = pread(fd, to + have, size - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno(fmt::format("read manifest {}", file), errno);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return have;
}

}  // namespace

// Reads the file once, from its first byte to its last: lines are checked and gathered into blocks.
class Manifest::Loader {
 public:
  explicit Loader(Manifest& manifest) : manifest_(manifest) {}

  Status run() {
    ManifestParser parser = TRY(ManifestParser::create(
        [this](const ManifestEntry& entry, std::string_view line, std::uint64_t offset) { add(entry, line, offset); }));
    std::string buffer(kReadAhead, '\0');
    for (std::uint64_t offset = 0;;) {
      const std::size_t n = TRY(readAt(manifest_.fd_.get(), offset, buffer.data(), buffer.size(), manifest_.file_));
      if (n == 0) break;
      TRY(named(parser.take(bytesOf(std::string_view(buffer).substr(0, n)))));
      offset += n;
    }
    TRY(named(parser.finish()));
    manifest_.url_ = parser.url();
    manifest_.made_ = parser.made();
    manifest_.digest_ = parser.digest();
    manifest_.count_ = parser.count();
    manifest_.bytes_ = parser.bytes();
    manifest_.blocks_.shrink_to_fit();
    manifest_.firsts_.shrink_to_fit();
    return {};
  }

 private:
  Status named(Status status) const {
    if (!status) status.error().message = fmt::format("manifest {}, {}", manifest_.file_, status.error().message);
    return status;
  }

  void add(const ManifestEntry& entry, std::string_view line, std::uint64_t offset) {
    auto& blocks = manifest_.blocks_;
    if (!manifest_.sample_ && entry.size > 0) manifest_.sample_ = entry;
    if (blocks.empty() || blocks.back().bytes + line.size() + 1 > kBlock) {
      blocks.push_back({.offset = offset,
                        .first_at = manifest_.firsts_.size(),
                        .first_bytes = static_cast<std::uint32_t>(entry.path.size())});
      manifest_.firsts_ += entry.path;
    }
    Block& block = blocks.back();
    block.bytes += static_cast<std::uint32_t>(line.size() + 1);
    block.crc = crc32c(bytesOf("\n"), crc32c(bytesOf(line), block.crc));
  }

  Manifest& manifest_;
};

Result<std::shared_ptr<const Manifest>> Manifest::load(const std::string& file) {
  io::Descriptor fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return failErrno(fmt::format("open manifest {}", file), errno);
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return failErrno(fmt::format("open manifest {}", file), errno);
  if (!S_ISREG(st.st_mode)) return fail(Code::InvalidArgument, fmt::format("manifest {}: not a regular file", file));
  std::shared_ptr<Manifest> manifest(new Manifest(file, std::move(fd)));
  TRY(Loader(*manifest).run());
  return manifest;
}

std::size_t Manifest::memoryBytes() const {
  return sizeof(Manifest) + blocks_.capacity() * sizeof(Block) + firsts_.capacity();
}

Result<std::string> Manifest::read(std::size_t index) const {
  const Block& block = blocks_[index];
  std::string text(block.bytes, '\0');
  const std::size_t n = TRY(readAt(fd_.get(), block.offset, text.data(), text.size(), file_));
  if (n != text.size() || crc32c(bytesOf(text)) != block.crc)
    return fail(Code::Corrupt,
                fmt::format("manifest {} was changed in place after this node had read it (near byte {}): start the "
                            "node again with a whole one, and replace manifests by rename",
                            file_, block.offset));
  return text;
}

// A position in the file: at an object, or behind the last.
class Manifest::Walk {
 public:
  explicit Walk(const Manifest& manifest) : manifest_(manifest) {}

  // To the first object whose path isn't before `path`.
  Status seek(std::string_view path) {
    std::size_t low = 0, high = manifest_.blocks_.size();
    while (low < high) {  // the first block that starts behind `path`
      const std::size_t middle = low + (high - low) / 2;
      if (manifest_.firstPath(middle) <= path)
        low = middle + 1;
      else
        high = middle;
    }
    TRY(enter(low == 0 ? 0 : low - 1));
    while (!atEnd() && entry_.path < path) TRY(next());
    return {};
  }

  Status next() {
    if (rest_.empty()) return enter(block_ + 1);
    return take();
  }

  bool atEnd() const { return at_end_; }
  const ManifestEntry& entry() const { return entry_; }

 private:
  Status enter(std::size_t block) {
    at_end_ = block >= manifest_.blocks_.size();
    if (at_end_) return {};
    if (block != block_) text_ = TRY(manifest_.read(block));
    block_ = block;
    rest_ = text_;
    return take();
  }
  Status take() {
    const std::size_t end = rest_.find('\n');
    entry_ = TRY(parseManifestLine(rest_.substr(0, end)));
    rest_.remove_prefix(end + 1);
    return {};
  }

  const Manifest& manifest_;
  std::size_t block_ = SIZE_MAX;
  std::string text_;
  std::string_view rest_;  // of it, behind entry_
  ManifestEntry entry_;
  bool at_end_ = false;
};

Result<std::optional<ManifestEntry>> Manifest::find(std::string_view path) const {
  Walk walk(*this);
  TRY(walk.seek(path));
  if (walk.atEnd() || walk.entry().path != path) return std::optional<ManifestEntry>();
  return std::optional(walk.entry());
}

Result<origin::ListPage> Manifest::list(std::string_view prefix, std::string_view next, std::uint32_t max) const {
  if (!next.empty() && next.front() != kCursorMark)
    return fail(Code::InvalidArgument, "a listing's cursor isn't one of a manifest");
  Walk walk(*this);
  std::string from(prefix);
  if (!next.empty()) {
    from += next.substr(1);
    if (next.ends_with('/'))
      from.back() = kAfterSlash;  // a directory: behind all that is in it
    else
      from += '\0';  // an object: behind it
  }
  TRY(walk.seek(from));
  origin::ListPage page;
  std::string last;
  while (!walk.atEnd() && walk.entry().path.starts_with(prefix)) {
    if (page.entries.size() == std::max(1U, max)) {
      page.next = kCursorMark + last;
      return page;
    }
    const ManifestEntry& entry = walk.entry();
    const std::string_view rest = std::string_view(entry.path).substr(prefix.size());
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) {
      last = rest;
      page.entries.push_back({.name = last,
                              .directory = false,
                              .info = {.size = entry.size, .version = entry.version, .mtime_ns = entry.mtime_ns}});
      TRY(walk.next());
      continue;
    }
    last = rest.substr(0, slash + 1);
    page.entries.push_back({.name = std::string(rest.substr(0, slash)), .directory = true, .info = {}});
    std::string behind = std::string(prefix) + last;
    behind.back() = kAfterSlash;
    TRY(walk.seek(behind));
  }
  return page;
}

}  // namespace forebay::node
