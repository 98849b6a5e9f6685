// The objects that the fake origin serves: from a directory, generated, or put by a client. One set for both dialects.
//
// Names are bytes: whatever a client puts is kept, also names that no file system holds (`a//b`, `..`, `a` beside
// `a/b`). Threading: one thread. Files of the directory are opened at each request, and a changed one is a new version.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hasher.h"
#include "fake_origin/http.h"

namespace forebay::fake {

// Generated content of any size, sent from a pattern of 16 MiB that is made once. Byte i of version v of an object is
//
//   PATTERN[(start + i) mod P],  P = 16,777,213 (a prime, so bytes of another chunk or granule never look right)
//   PATTERN = SHAKE128("forebay"), P bytes,  start = the first 8 bytes of SHA-256("CONTAINER/NAME#v"), little-endian,
//   mod P
//
// In Python: hashlib.shake_128(b"forebay").digest(P). v is 0 when the object is made and grows with each change.
constexpr std::uint64_t kPatternBytes = 16'777'213;
std::uint64_t generatedStart(std::string_view container, std::string_view name, std::uint64_t version);

struct Object {
  std::uint64_t size = 0;
  std::uint64_t tag = 0;      // what both dialects' ETags are made of; a function of the content's version
  std::uint64_t version = 0;  // grows with each change of this name
  std::int64_t mtime_s = 0;
  std::string content_type = "application/octet-stream";
  std::string md5;     // 16 bytes, where keepMd5() was asked and it isn't too large; else empty
  std::string sha256;  // 32 bytes, where keepSha256() was asked
  Headers metadata;    // x-ms-meta-* or x-amz-meta-*, names without that prefix

  // Where the bytes are; exactly one of these.
  std::shared_ptr<const std::string> text;  // small, in memory
  std::shared_ptr<const int> file;          // larger, in a memfd
  std::string path;                         // of a file below --root
  bool generated = false;
};
using Objects = std::map<std::string, Object, std::less<>>;

struct NewContent {  // exactly one is set
  std::optional<std::uint64_t> generated_size;
  std::shared_ptr<const std::string> text;
  std::shared_ptr<const int> file;
  std::uint64_t file_size = 0;
};

class ObjectStore {
 public:
  // Reads the tree below `root`: its first level are containers. With `decode_names`, %XX in file names is decoded.
  // Called again, it forgets what an earlier scan found (but not what clients put).
  Status scan(const std::string& root, bool decode_names);

  bool addContainer(std::string_view name);  // false: it was there
  Objects* container(std::string_view name);
  const std::map<std::string, Objects, std::less<>>& containers() const { return containers_; }

  // The object, brought up to date with its file; nullptr where there is none. Valid until the next call.
  Object* find(std::string_view container, std::string_view name);
  Object& put(std::string_view container, std::string_view name, NewContent content, std::int64_t now_s);
  bool erase(std::string_view container, std::string_view name);
  // A new version with generated content: what a writer elsewhere does. `size` as before where it isn't given.
  bool change(std::string_view container, std::string_view name, std::optional<std::uint64_t> size, std::int64_t now_s);
  void clear();
  // From now on objects that are put or generated keep their MD5, as those do that clients upload in one part: Azure's
  // listings say it, and S3's ETags are it. Not those above kMaxMd5 ("in parts"), and no file of a directory.
  void keepMd5() { keep_md5_ = true; }
  // The same with the checksum that S3 keeps where its client gave one.
  void keepSha256() { keep_sha256_ = true; }
  static constexpr std::uint64_t kMaxMd5 = 64 * kMiB;
  // Of some of an object's bytes, at most kMaxMd5.
  Result<std::string> digestOf(Hasher::Kind kind, std::string_view container, std::string_view name,
                               const Object& object, std::uint64_t offset, std::uint64_t length);

  // The bytes [offset, offset + length) as segments to be sent. Fails when a file can't be opened any more.
  Result<std::vector<Segment>> segments(std::string_view container, std::string_view name, const Object& object,
                                        std::uint64_t offset, std::uint64_t length);

 private:
  std::uint64_t nextVersion(std::string_view container, std::string_view name);
  Result<std::shared_ptr<const int>> pattern();

  std::map<std::string, Objects, std::less<>> containers_;
  // Versions outlive their objects: deleted and put again, a name must not get an old ETag back.
  std::map<std::pair<std::string, std::string>, std::uint64_t> versions_;
  std::shared_ptr<const int> pattern_;
  bool keep_md5_ = false, keep_sha256_ = false;
};

// A descriptor that closes itself.
std::shared_ptr<const int> ownFd(int fd);

}  // namespace forebay::fake
