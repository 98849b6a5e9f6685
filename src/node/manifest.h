// A manifest: what was below a mount's prefix at one moment, written by `forebay freeze`, served by frozen mounts.
//
// A text file of lines that end with '\n', their fields separated by tabs:
//
//   forebay-manifest  1     URL       MADE                   the mount's URL, without credentials; when, in UTC
//   PATH              SIZE  VERSION   MTIME_NS   CHECKSUM    one line per object, in the order of the paths' bytes
//   end               COUNT sha256:HEX                       of the objects' lines, as they stand
//
// Text is percent-encoded where it must be: bytes up to 0x20, 0x7F and '%' are written as %XX, all others as they are,
// so that any name can stand there and most can be read. CHECKSUM is "md5:" and 32 hexadecimal digits, or "-" where the
// origin's listing gave none. There is one way to write an object, and the reader refuses any other.
//
// ManifestWriter and ManifestParser are pure and stream: the memory they take doesn't grow with the number of objects.
// Manifest is a file of which a node answers: it is read once, whole, checked line by line and against its digest; what
// stays in memory is one entry per 16 KiB of it (its first path, its place, its CRC32C), and a question reads one or
// two such blocks again. A file that was cut, edited or replaced in place meanwhile is told from the one that was
// checked: Corrupt, never another answer.
//
// Threading: a Manifest may be asked from any threads at once; it blocks while it reads its file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hasher.h"
#include "base/result.h"
#include "io/descriptor.h"
#include "origin/origin.h"

namespace forebay::node {

constexpr std::size_t kMaxManifestLine = 16 * kKiB;  // a path of 1,024 bytes with all of them encoded takes 3 KiB

struct ManifestEntry {
  std::string path;
  std::uint64_t size = 0;
  std::string version;
  std::int64_t mtime_ns = 0;
  std::string checksum;  // "md5:HEX"; empty: none
  bool operator==(const ManifestEntry&) const = default;
};

class ManifestWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  // Writes the first line. `made` is a time in UTC ("2026-11-21T16:00:00Z").
  static Result<ManifestWriter> begin(Sink sink, std::string_view url, std::string_view made);

  // InvalidArgument: not behind the one before, or what no manifest can hold. Nothing was written then.
  Status add(const ManifestEntry& entry);
  // Writes the last line; the digest ("sha256:HEX").
  std::string finish();

  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }  // of the objects

 private:
  ManifestWriter(Sink sink, Hasher hasher) : sink_(std::move(sink)), hasher_(std::move(hasher)) {}
  Sink sink_;
  Hasher hasher_;
  std::string last_;
  std::uint64_t count_ = 0, bytes_ = 0;
};

// Takes a manifest in pieces of any size. An error names the line and says why; then it is over.
class ManifestParser {
 public:
  // An object, its line without the '\n', and where in the file that starts.
  using EntrySink = std::function<void(const ManifestEntry&, std::string_view line, std::uint64_t offset)>;
  static Result<ManifestParser> create(EntrySink sink);

  Status take(Bytes bytes);
  Status finish();  // Corrupt if the last line hasn't come

  const std::string& url() const { return url_; }
  const std::string& made() const { return made_; }
  const std::string& digest() const { return digest_; }  // after finish()
  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  ManifestParser(EntrySink sink, Hasher hasher) : sink_(std::move(sink)), hasher_(std::move(hasher)) {}
  Status line(std::string_view line);
  Status first(std::string_view line);
  Status last(std::string_view line);
  std::unexpected<Error> wrong(std::string_view why) const;

  EntrySink sink_;
  Hasher hasher_;
  std::string partial_;  // a line whose end hasn't come
  std::string last_path_, url_, made_, digest_;
  std::uint64_t line_ = 0, offset_ = 0, count_ = 0, bytes_ = 0;
  bool ended_ = false;
};

// One object's line, without its '\n', as the writer writes it and back. Corrupt: why it can't be one.
std::string manifestLine(const ManifestEntry& entry);
Result<ManifestEntry> parseManifestLine(std::string_view line);

class Manifest {
 public:
  // Reads and checks the whole file. NotFound, PermissionDenied, IoError; Corrupt and InvalidArgument name the line.
  static Result<std::shared_ptr<const Manifest>> load(const std::string& file);

  const std::string& file() const { return file_; }
  const std::string& url() const { return url_; }
  const std::string& made() const { return made_; }
  const std::string& digest() const { return digest_; }
  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }
  const std::optional<ManifestEntry>& sample() const {
    return sample_;
  }  // an object with a first byte, if there is one
  std::size_t memoryBytes() const;

  // The object of exactly that name, if there is one.
  Result<std::optional<ManifestEntry>> find(std::string_view path) const;
  // As Origin::list: names that start with `prefix`, cut at the next '/', in the order of their keys.
  Result<origin::ListPage> list(std::string_view prefix, std::string_view next, std::uint32_t max) const;

 private:
  struct Block {
    std::uint64_t offset = 0;
    std::uint64_t first_at = 0;  // in firsts_: the path of its first line
    std::uint32_t bytes = 0;
    std::uint32_t first_bytes = 0;
    std::uint32_t crc = 0;
  };
  class Loader;
  class Walk;
  Manifest(std::string file, io::Descriptor fd) : file_(std::move(file)), fd_(std::move(fd)) {}
  std::string_view firstPath(std::size_t block) const {
    return std::string_view(firsts_).substr(blocks_[block].first_at, blocks_[block].first_bytes);
  }
  Result<std::string> read(std::size_t block) const;

  const std::string file_;
  const io::Descriptor fd_;
  std::string url_, made_, digest_;
  std::uint64_t count_ = 0, bytes_ = 0;
  std::optional<ManifestEntry> sample_;
  std::vector<Block> blocks_;
  std::string firsts_;
};

}  // namespace forebay::node
