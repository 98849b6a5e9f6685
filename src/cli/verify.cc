#include "cli/verify.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hasher.h"
#include "base/json_writer.h"
#include "cli/exit_codes.h"
#include "cli/progress.h"
#include "cli/units.h"
#include "cli/verifier.h"
#include "io/descriptor.h"

namespace forebay::cli {
namespace {

constexpr std::size_t kPiece = 4 * kMiB;
using Told = std::function<void(std::uint64_t)>;

Result<std::string> digestOfFile(const std::string& file, const Told& told) {
  const io::Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return failErrno("open it", errno);
  Hasher md5 = TRY(Hasher::create(Hasher::Kind::Md5));
  std::vector<std::byte> piece(kPiece);
  for (;;) {
    const ssize_t n = ::read(fd.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("read it", errno);
    if (n == 0) break;
    md5.update(Bytes(piece).first(static_cast<std::size_t>(n)));
    told(static_cast<std::uint64_t>(n));
  }
  return std::string(textOf(md5.finish()));
}

Result<std::string> digestOfObject(Cell& cell, const ObjectName& name, const Told& told) {
  const client::Attributes found = TRY(cell.lookup(name, true));
  Hasher md5 = TRY(Hasher::create(Hasher::Kind::Md5));
  std::vector<std::byte> piece(std::min<std::uint64_t>(kPiece, found.plan.size));
  for (std::uint64_t offset = 0; offset < found.plan.size;) {
    const std::size_t n = TRY(cell.read(name.mount, found.plan, offset, piece));
    if (n == 0) return fail(Code::Corrupt, fmt::format("it ended after {} of {} bytes", offset, found.plan.size));
    md5.update(Bytes(piece).first(n));
    told(n);
    offset += n;
  }
  return std::string(textOf(md5.finish()));
}

class Verify {
 public:
  Verify(Cell& cell, Terminal& terminal, const VerifyOptions& options)
      : cell_(cell), terminal_(terminal), options_(options), progress_(std::chrono::steady_clock::now()) {}

  int run() {
    const Status prepared = prepare();
    if (!prepared) return terminal_.fail(fmt::format("verify {}", printable(options_.what)), prepared.error());
    Verifier verifier(
        *here_, *origin_,
        [this](const SortedObject& object, const Told& told) {
          return local() ? digestOfFile(options_.what + "/" + object.path, told)
                         : digestOfObject(cell_, root_.below(object.path), told);
        },
        [this](const Finding& finding) { tell(finding); }, progress_,
        {.in_flight = options_.in_flight, .size_only = options_.size_only});
    Status listed;
    {
      std::optional<ProgressReporter> reporter;
      if (terminal_.isTerminal() || terminal_.json()) reporter.emplace(terminal_, progress_);
      listed = verifier.run();
    }
    tellEnd(verifier.counts(), listed);
    return exitCode(verifier.counts(), listed);
  }

 private:
  bool local() const { return !options_.against.empty(); }

  Status prepare() {
    if (!local() && (options_.what.starts_with('/') || options_.what.starts_with('.')))
      return fail(Code::InvalidArgument,
                  "say what the directory is a copy of: --against MOUNT[/PATH], a mount of the node");
    root_ = TRY(ObjectName::parse(local() ? options_.against : options_.what));
    const std::string url = TRY(mountUrl(cell_, root_.mount));
    s3_ = url.starts_with("s3://");
    struct stat info = {};
    if (local() && ::stat(options_.what.c_str(), &info) != 0) return failErrno("look at the directory", errno);
    if (local() && !S_ISDIR(info.st_mode)) return fail(Code::InvalidArgument, "not a directory");
    origin_ = std::make_unique<CellNames>(cell_, root_, CellNames::Of::Origin, s3_);
    if (local())
      here_ = std::make_unique<LocalNames>(options_.what);
    else
      here_ = std::make_unique<CellNames>(cell_, root_, CellNames::Of::Cell);
    return {};
  }

  void tell(const Finding& finding) {
    if (terminal_.json()) {
      JsonWriter json;
      json.beginObject().field("event", findingName(finding.kind)).name("name", finding.path);
      if (!finding.why.empty()) json.field("message", finding.why);
      json.endObject();
      return terminal_.out(json.text() + "\n");
    }
    // Over the line that says how far it is.
    terminal_.out(fmt::format("{}{:<8} {}{}\n", terminal_.isTerminal() ? "\r\x1b[K" : "", findingName(finding.kind),
                              printable(finding.path), finding.why.empty() ? "" : ": " + finding.why));
  }

  void tellEnd(const VerifyCounts& counts, const Status& listed) {
    if (!listed) terminal_.err(fmt::format("{}; what comes behind it wasn't compared", listed.error().message));
    if (terminal_.json()) return terminal_.out(endJson(counts, listed) + "\n");
    std::string text = fmt::format("{} objects at the origin: ", humanCount(counts.objects));
    text += fmt::format("{} have its checksum, {} were compared by size only", humanCount(counts.checksummed),
                        humanCount(counts.size_only));
    const std::pair<std::uint64_t, const char*> troubles[] = {{counts.missing, "missing"},
                                                              {counts.extra, "extra"},
                                                              {counts.differs, "differ"},
                                                              {counts.failed, "couldn't be compared"}};
    for (const auto& [count, what] : troubles)
      if (count > 0) text += fmt::format(", {} {}", humanCount(count), what);
    terminal_.out(fmt::format("{} ({} read)\n", text, humanSize(counts.bytes)));
    if (s3_ && counts.wrong_checksums > 0 && counts.checksummed == 0)
      terminal_.err(
          "not one ETag was the MD5 of its object's bytes: objects that are encrypted with keys of KMS have "
          "other ETags; with --size-only they are compared by size and version alone");
  }

  static std::string endJson(const VerifyCounts& counts, const Status& listed) {
    JsonWriter json;
    json.beginObject().field("event", counts.same() && listed ? "same" : "different");
    json.field("objects", counts.objects).field("checksummed", counts.checksummed);
    json.field("size_only", counts.size_only).field("missing", counts.missing).field("extra", counts.extra);
    json.field("differs", counts.differs).field("failed", counts.failed).field("bytes", counts.bytes);
    json.field("complete", listed.has_value()).endObject();
    return std::move(json).take();
  }

  static int exitCode(const VerifyCounts& counts, const Status& listed) {
    if (!listed) return exitCodeOf(listed.error().code);
    if (counts.missing + counts.extra + counts.differs > 0) return kExitFailure;
    return counts.failed > 0 ? kExitIncomplete : kExitOk;
  }

  Cell& cell_;
  Terminal& terminal_;
  const VerifyOptions& options_;
  Progress progress_;
  ObjectName root_;
  bool s3_ = false;
  std::unique_ptr<SortedNames> here_, origin_;
};

}  // namespace

int runVerify(Cell& cell, Terminal& terminal, const VerifyOptions& options) {
  return Verify(cell, terminal, options).run();
}

}  // namespace forebay::cli
