// forebay cat [--offset SIZE] [--length SIZE] MOUNT/PATH...
//
// Several pieces are on their way while one is written: a pipe to a slow reader then hides the cell's latency. Memory:
// kAhead pieces.
#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <future>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

constexpr std::uint64_t kPiece = 4 * kMiB;
constexpr std::size_t kAhead = 4;

struct Piece {
  std::vector<std::byte> bytes;
  std::future<Result<std::size_t>> read;
};

class Copy {
 public:
  Copy(Cell& cell, Terminal& terminal, const ObjectName& name, const core::Plan& plan)
      : cell_(cell), terminal_(terminal), name_(name), plan_(plan) {}

  // All of [offset, end), or an error.
  Status run(std::uint64_t offset, std::uint64_t end) {
    while (offset < end || !pieces_.empty()) {
      for (; offset < end && pieces_.size() < kAhead; offset += std::min(kPiece, end - offset)) {
        start(offset, std::min(kPiece, end - offset));
      }
      TRY(writeFirst());
    }
    return {};
  }

 private:
  // The futures of std::async wait in their destructors: nothing reads into a piece that is gone.
  void start(std::uint64_t offset, std::uint64_t length) {
    Piece& piece = pieces_.emplace_back();
    piece.bytes.resize(length);
    piece.read = std::async(std::launch::async, [this, offset, into = MutableBytes(piece.bytes)] {
      return cell_.read(name_.mount, plan_, offset, into);
    });
  }

  Status writeFirst() {
    Piece& piece = pieces_.front();
    const std::size_t n = TRY(piece.read.get());
    if (n != piece.bytes.size()) {
      return fail(Code::Corrupt, fmt::format("{} bytes came where {} were asked", n, piece.bytes.size()));
    }
    terminal_.out(textOf(piece.bytes));
    pieces_.pop_front();
    if (terminal_.broken()) return terminal_.flush();
    return {};
  }

  Cell& cell_;
  Terminal& terminal_;
  const ObjectName& name_;
  const core::Plan& plan_;
  std::deque<Piece> pieces_;
};

int catName(Cell& cell, Terminal& terminal, const std::string& text, const CatOptions& options) {
  const auto name = ObjectName::parseExact(text);
  if (!name) return terminal.fail(name.error());
  const auto found = cell.lookup(*name, true);
  if (!found) return terminal.fail(printable(text), found.error());
  if (found->directory) {
    return terminal.fail(printable(text), Error{Code::InvalidArgument, "is a directory"});
  }
  const core::Plan& plan = found->plan;
  const std::uint64_t start = std::min(options.offset, plan.size);
  const std::uint64_t left = plan.size - start;
  const std::uint64_t end = start + std::min(options.length.value_or(left), left);
  const Status copied = Copy(cell, terminal, *name, plan).run(start, end);
  if (!copied) return terminal.fail(printable(text), copied.error());
  return kExitOk;
}

}  // namespace

int runCat(Cell& cell, Terminal& terminal, const CatOptions& options) {
  ExitStatus status;
  for (const std::string& name : options.names) {
    status.add(catName(cell, terminal, name, options));
    if (terminal.broken()) break;
  }
  return status.code();
}

}  // namespace forebay::cli
