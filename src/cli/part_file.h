// A file that comes piece by piece, and appears under its name when it is whole.
//
//   auto part = TRY(PartFile::open({.path = "/data/a.tar", .size = size, .version = version}));
//   for each piece in part->missing(): part->write(offset, bytes)...; part->pieceDone(piece);
//   TRY(part->finish());
//
// Until then its bytes are in "/data/a.tar.forebay-part", with the state of what is there (cli/part_state.h), written
// every second or 64 MiB, always after the bytes that it speaks of are on the disk: a process that is killed and a
// machine that loses power cost what came since. Its room is reserved at the start, so a full disk is told before
// hours of work. finish() makes it durable and renames it.
//
// Threading: write() and pieceDone() from any thread, the rest from one at a time. Failure: what is done stays for the
// next attempt; a partial file with nothing done is deleted. One process at a time has a partial file (Busy).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cli/part_state.h"
#include "io/descriptor.h"

namespace forebay::cli {

constexpr std::string_view kPartEnding = ".forebay-part";

class PartFile {
 public:
  struct Wanted {
    std::string path;
    std::uint64_t size = 0;
    std::string version;
    std::int64_t mtime_ns = 0;  // since 1970; 0: unknown
    bool overwrite = false;     // whatever is there under that name
  };
  enum class Start {
    Fresh,      // nothing was there
    Resumed,    // some pieces were
    Restarted,  // something was, of another version or damaged: it is gone
  };

  // The directory must be there. InvalidArgument: something else has that name, and isn't to be overwritten.
  static Result<std::unique_ptr<PartFile>> open(Wanted wanted);
  ~PartFile();

  Start start() const { return start_; }
  std::uint64_t presentBytes() const { return at_start_; }  // when it was opened
  std::uint64_t pieceStart(std::uint64_t piece) const { return state_.pieceStart(piece); }
  std::uint64_t pieceLength(std::uint64_t piece) const { return state_.pieceLength(piece); }
  std::vector<std::uint64_t> missing() const;

  Status write(std::uint64_t offset, Bytes bytes);
  Status pieceDone(std::uint64_t piece);
  // Bytes that were written, into all of `into`.
  Status read(std::uint64_t offset, MutableBytes into) const;
  // All pieces are done. Whatever was under the name is replaced if that was wanted.
  Status finish();
  // The bytes turned out to be worth nothing.
  void discard();

  // Whether a file of that name is already what an object of this size and time would become.
  static bool isThere(const Wanted& wanted);
  static std::string partPathOf(const std::string& path);

 private:
  PartFile(Wanted wanted, std::string part_path);
  Status openAndLock();
  Status prepare();
  Status begin();
  void recall();
  Status save();
  std::unexpected<Error> failed(std::string_view what, int error) const;

  const Wanted wanted_;
  const std::string part_path_;
  io::Descriptor fd_;
  Start start_ = Start::Fresh;
  std::uint64_t at_start_ = 0;
  mutable std::mutex mutex_;
  PartState state_;
  std::uint64_t unsaved_ = 0;  // bytes
  std::chrono::steady_clock::time_point saved_at_;
  bool kept_ = false;  // the partial file stays, or has become the file
};

}  // namespace forebay::cli
