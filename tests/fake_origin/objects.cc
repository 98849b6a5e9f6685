#include "fake_origin/objects.h"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/hasher.h"

namespace forebay::fake {
namespace fs = std::filesystem;

namespace {

std::uint64_t tagOf(std::string_view container, std::string_view name, std::uint64_t version, std::uint64_t content) {
  const std::uint64_t place = hash64(fmt::format("{}/{}", container, name));
  return mix64(place ^ mix64(version ^ mix64(content)));
}

// A file's version, as far as stat can tell.
std::uint64_t fileTag(const struct stat& info) {
  return hash64(fmt::format("{}.{}.{}.{}", info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
}

std::uint64_t contentTag(const NewContent& content) {
  if (content.text) return hash64(*content.text);
  return mix64(content.generated_size.value_or(content.file_size));
}

void describe(const struct stat& info, std::string_view container, std::string_view name, Object& object) {
  object.size = static_cast<std::uint64_t>(info.st_size);
  object.mtime_s = info.st_mtim.tv_sec;
  object.tag = tagOf(container, name, 0, fileTag(info));
}

}  // namespace

std::shared_ptr<const int> ownFd(int fd) {
  return {new int(fd), [](const int* owned) {
            close(*owned);
            delete owned;
          }};
}

std::uint64_t generatedStart(std::string_view container, std::string_view name, std::uint64_t version) {
  const Digest digest = sha256(bytesOf(fmt::format("{}/{}#{}", container, name, version)));
  return loadLe<std::uint64_t>(digest.data()) % kPatternBytes;
}

Status ObjectStore::scan(const std::string& root, bool decode_names) {
  for (auto& [container, objects] : containers_)
    std::erase_if(objects, [](const auto& item) { return !item.second.path.empty(); });
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (auto at = fs::recursive_directory_iterator(root, options, error); at != fs::end(at); at.increment(error)) {
    if (error) break;
    const std::string relative = at->path().lexically_relative(root).generic_string();
    const auto slash = relative.find('/');
    if (slash == std::string::npos) {
      if (at->is_directory(error)) containers_.try_emplace(relative);
      continue;
    }
    struct stat info{};
    if (stat(at->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const std::string container = relative.substr(0, slash);
    std::string name = relative.substr(slash + 1);
    if (decode_names) name = percentDecode(name).value_or(name);
    Object object;
    object.path = at->path().string();
    describe(info, container, name, object);
    containers_[container].try_emplace(std::move(name), std::move(object));
  }
  if (error) return fail(Code::IoError, fmt::format("scan {}: {}", root, error.message()));
  return {};
}

bool ObjectStore::addContainer(std::string_view name) {
  return containers_.try_emplace(std::string(name)).second;
}

Objects* ObjectStore::container(std::string_view name) {
  auto known = containers_.find(name);
  return known == containers_.end() ? nullptr : &known->second;
}

Object* ObjectStore::find(std::string_view container_name, std::string_view name) {
  Objects* objects = container(container_name);
  if (objects == nullptr) return nullptr;
  auto known = objects->find(name);
  if (known == objects->end()) return nullptr;
  Object& object = known->second;
  if (object.path.empty()) return &object;
  struct stat info{};
  if (stat(object.path.c_str(), &info) != 0) {
    objects->erase(known);
    return nullptr;
  }
  describe(info, container_name, name, object);
  return &object;
}

std::uint64_t ObjectStore::nextVersion(std::string_view container, std::string_view name) {
  const auto [at, fresh] = versions_.try_emplace({std::string(container), std::string(name)}, 0);
  if (!fresh) ++at->second;
  return at->second;
}

Object& ObjectStore::put(std::string_view container, std::string_view name, NewContent content, std::int64_t now_s) {
  Object object;
  object.version = nextVersion(container, name);
  object.tag = tagOf(container, name, object.version + 1, contentTag(content));
  object.mtime_s = now_s;
  object.generated = content.generated_size.has_value();
  object.size = content.text ? content.text->size() : content.generated_size.value_or(content.file_size);
  object.text = std::move(content.text);
  object.file = std::move(content.file);
  if (keep_md5_ && object.size <= kMaxMd5)
    if (auto md5 = digestOf(Hasher::Kind::Md5, container, name, object, 0, object.size)) object.md5 = std::move(*md5);
  if (keep_sha256_ && object.size <= kMaxMd5)
    if (auto sha256 = digestOf(Hasher::Kind::Sha256, container, name, object, 0, object.size))
      object.sha256 = std::move(*sha256);
  return containers_[std::string(container)].insert_or_assign(std::string(name), std::move(object)).first->second;
}

bool ObjectStore::erase(std::string_view container_name, std::string_view name) {
  Objects* objects = container(container_name);
  if (objects == nullptr) return false;
  auto known = objects->find(name);
  if (known == objects->end()) return false;
  objects->erase(known);
  return true;
}

bool ObjectStore::change(std::string_view container_name, std::string_view name, std::optional<std::uint64_t> size,
                         std::int64_t now_s) {
  const Object* old = find(container_name, name);
  if (old == nullptr) return false;
  const std::uint64_t new_size = size.value_or(old->size);
  if (!old->path.empty()) nextVersion(container_name, name);  // the file was version 0
  put(container_name, name, {.generated_size = new_size, .text = {}, .file = {}}, now_s);
  return true;
}

void ObjectStore::clear() {
  containers_.clear();
}

Result<std::shared_ptr<const int>> ObjectStore::pattern() {
  if (pattern_) return pattern_;
  std::string bytes(kPatternBytes, '\0');
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool made = EVP_DigestInit_ex(context, EVP_shake128(), nullptr) == 1 &&
                    EVP_DigestUpdate(context, "forebay", 7) == 1 &&
                    EVP_DigestFinalXOF(context, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size()) == 1;
  EVP_MD_CTX_free(context);
  if (!made) return fail(Code::Internal, "OpenSSL gave no SHAKE128");
  const int fd = memfd_create("forebay-pattern", MFD_CLOEXEC);
  if (fd < 0) return failErrno("memfd_create", errno);
  pattern_ = ownFd(fd);
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0) return failErrno("write the pattern", errno);
    at += static_cast<std::size_t>(n);
  }
  return pattern_;
}

Result<std::vector<Segment>> ObjectStore::segments(std::string_view container, std::string_view name,
                                                   const Object& object, std::uint64_t offset, std::uint64_t length) {
  std::vector<Segment> list;
  if (length == 0) return list;
  if (object.text) {
    list.push_back({.text = object.text, .file = {}, .offset = offset, .length = length});
  } else if (object.file) {
    list.push_back({.text = {}, .file = object.file, .offset = offset, .length = length});
  } else if (!object.path.empty()) {
    const int fd = open(object.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return failErrno("open " + object.path, errno);
    list.push_back({.text = {}, .file = ownFd(fd), .offset = offset, .length = length});
  } else {
    const auto shared = TRY(pattern());
    std::uint64_t at = (generatedStart(container, name, object.version) + offset) % kPatternBytes;
    while (length > 0) {
      const std::uint64_t piece = std::min(length, kPatternBytes - at);
      list.push_back({.text = {}, .file = shared, .offset = at, .length = piece});
      length -= piece;
      at = 0;
    }
  }
  return list;
}

Result<std::string> ObjectStore::digestOf(Hasher::Kind kind, std::string_view container, std::string_view name,
                                          const Object& object, std::uint64_t offset, std::uint64_t length) {
  Hasher hasher = TRY(Hasher::create(kind));
  if (length > kMaxMd5) return fail(Code::InvalidArgument, "too much for a checksum");
  for (const Segment& segment : TRY(segments(container, name, object, offset, length))) {
    if (segment.text) {
      hasher.update(std::string_view(*segment.text).substr(segment.offset, segment.length));
      continue;
    }
    std::string bytes(segment.length, '\0');
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n =
          pread(*segment.file, bytes.data() + at, bytes.size() - at, static_cast<off_t>(segment.offset + at));
      if (n <= 0) return failErrno("read for a checksum", n < 0 ? errno : EIO);
      at += static_cast<std::size_t>(n);
    }
    hasher.update(bytes);
  }
  return std::string(textOf(hasher.finish()));
}

}  // namespace forebay::fake
