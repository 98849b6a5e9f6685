// forebay freeze [-o FILE] MOUNT
#include "cli/freeze.h"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json_writer.h"
#include "cli/exit_codes.h"
#include "cli/sorted_names.h"
#include "cli/tree_walk.h"
#include "cli/units.h"
#include "io/descriptor.h"
#include "node/manifest.h"

namespace forebay::cli {
namespace {

constexpr std::size_t kBuffered = 256 * kKiB;
constexpr std::uint64_t kWordEvery = 100'000;  // names: about every ten seconds of a listing

// Where the manifest goes. A file appears under its name only once it is whole.
class Target {
 public:
  Target(Terminal& terminal, std::string file) : terminal_(terminal), file_(std::move(file)) {}
  ~Target() {
    if (fd_.get() >= 0 && !committed_) ::unlink(temporary().c_str());
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  Status open() {
    if (file_.empty()) return {};
    fd_ = io::Descriptor(::open(temporary().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd_.get() < 0) return failErrno(fmt::format("create {}", printable(temporary())), errno);
    return {};
  }
  void write(std::string_view text) {
    if (file_.empty()) return terminal_.out(text);
    buffer_ += text;
    if (buffer_.size() >= kBuffered) drain();
  }
  bool broken() { return file_.empty() ? terminal_.broken() : error_ != 0; }
  Status commit() {
    if (file_.empty()) return {};
    drain();
    if (error_ == 0 && ::fsync(fd_.get()) != 0) error_ = errno;
    if (error_ == 0 && ::rename(temporary().c_str(), file_.c_str()) != 0) error_ = errno;
    if (error_ != 0) return failErrno(fmt::format("write {}", printable(file_)), error_);
    committed_ = true;
    return {};
  }

 private:
  std::string temporary() const { return fmt::format("{}.{}.tmp", file_, ::getpid()); }
  void drain() {
    for (std::string_view rest = buffer_; !rest.empty() && error_ == 0;) {
      const ssize_t n = ::write(fd_.get(), rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) error_ = errno;
      if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
    }
    buffer_.clear();
  }

  Terminal& terminal_;
  const std::string file_;
  io::Descriptor fd_;
  std::string buffer_;
  int error_ = 0;  // errno of the first write that failed
  bool committed_ = false;
};

Status writeEntries(Cell& cell, Terminal& terminal, const ObjectName& mount, Target& target,
                    node::ManifestWriter& writer) {
  TreeWalk walk(cell, mount, {.raw = true, .recursive = true, .from_origin = true, .sorted = true});
  while (auto step = walk.next()) {
    if (step->error)
      return fail(step->error->code, fmt::format("list {}: {}", printable(step->name.text()), step->error->message),
                  step->error->retry_after_ms);
    if (step->entry.directory) continue;
    node::ManifestEntry entry{.path = std::move(step->name.path),
                              .size = step->entry.size,
                              .version = std::move(step->entry.version),
                              .mtime_ns = step->entry.mtime_ns,
                              .checksum = {}};
    if (!step->entry.md5.empty()) entry.checksum = "md5:" + hex(bytesOf(step->entry.md5));
    TRY(writer.add(entry));
    if (writer.count() % kWordEvery == 0)
      terminal.err(fmt::format("{}: {} objects so far", printable(mount.text()), humanCount(writer.count())));
    if (target.broken()) return fail(Code::Cancelled, "the output can't be written");
  }
  return {};
}

Status freeze(Cell& cell, Terminal& terminal, const FreezeOptions& options) {
  const ObjectName mount = TRY(ObjectName::parse(options.mount));
  if (!mount.path.empty())
    return fail(Code::InvalidArgument, "a whole mount is frozen, not a directory of one: make a mount of it");
  if (terminal.json() && options.file.empty())
    return fail(Code::InvalidArgument, "--json and the manifest both want stdout: write the manifest with -o FILE");
  const std::string url = TRY(mountUrl(cell, mount.mount));
  Target target(terminal, options.file);
  TRY(target.open());
  const std::string made = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  auto writer = TRY(node::ManifestWriter::begin([&](std::string_view text) { target.write(text); }, url, made));
  TRY(writeEntries(cell, terminal, mount, target, writer));
  const std::string digest = writer.finish();
  TRY(target.commit());
  if (terminal.json()) {
    JsonWriter json;
    json.beginObject().field("url", url).field("made", made).field("objects", writer.count());
    json.field("bytes", writer.bytes()).field("digest", digest).endObject();
    terminal.out(json.text() + "\n");
  } else {
    terminal.err(fmt::format("{}: {} objects, {}, {}", printable(mount.text()), humanCount(writer.count()),
                             humanSize(writer.bytes()), digest));
  }
  return {};
}

}  // namespace

int runFreeze(Cell& cell, Terminal& terminal, const FreezeOptions& options) {
  const Status done = freeze(cell, terminal, options);
  return done ? static_cast<int>(kExitOk)
              : terminal.fail(fmt::format("freeze {}", printable(options.mount)), done.error());
}

}  // namespace forebay::cli
