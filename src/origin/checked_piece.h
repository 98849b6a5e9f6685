// Bytes of an answer that came with the origin's own checksum: held back until all of them are there and fit it, so
// that nobody reads, serves or keeps a byte that is wrong.
//
//   piece.begin(expected, length, *sink);      // at the answer's head
//   piece.take(bytes, *sink);                  // as they arrive
//   piece.verify();                            // at its end; Corrupt: expected and found
//   piece.handOn(*sink, dropped);              // only then the sink hears of them
//
// They wait in the sink's own room, where that has enough in one piece (a place in the arena has): no copy and no
// memory more than without. Otherwise in a buffer, of at most kMaxBuffer; what is larger isn't held, and goes on
// unchecked.
//
// Threading: the loop's. A sink whose owner went away meanwhile has no such room any more: take() says so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/hasher.h"
#include "origin/origin.h"

namespace forebay::origin {

// What an answer says that exactly its bytes have.
struct Checksum {
  Hasher::Kind kind = Hasher::Kind::Md5;
  std::vector<std::byte> digest;
};

class CheckedPiece {
 public:
  static constexpr std::size_t kMaxBuffer = kMiB;

  // Whether the bytes will be held. `length` is at least 1.
  bool begin(Checksum expected, std::uint64_t length, ByteSink& sink);
  bool active() const { return hasher_.has_value(); }
  void drop();

  // False: there is no room for them any more.
  bool take(Bytes bytes, ByteSink& sink);
  std::uint64_t held() const { return held_; }
  Status verify();
  // How many bytes the sink was given; fewer than held if `dropped` became true, which the sink may cause.
  std::uint64_t handOn(ByteSink& sink, const bool& dropped);

 private:
  std::optional<Hasher> hasher_;
  Checksum expected_;
  std::uint64_t length_ = 0, held_ = 0;
  std::vector<std::byte> buffer_;  // empty: they are in the sink's room
};

}  // namespace forebay::origin
