#include "origin/checked_piece.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "base/hash.h"

namespace forebay::origin {

bool CheckedPiece::begin(Checksum expected, std::uint64_t length, ByteSink& sink) {
  drop();
  auto hasher = Hasher::create(expected.kind);
  if (!hasher) return false;
  if (sink.room().size() < length) {
    if (length > kMaxBuffer) return false;
    buffer_.resize(length);
  }
  hasher_ = std::move(*hasher);
  expected_ = std::move(expected);
  length_ = length;
  return true;
}

void CheckedPiece::drop() {
  hasher_.reset();
  held_ = length_ = 0;
  buffer_.clear();
}

bool CheckedPiece::take(Bytes bytes, ByteSink& sink) {
  // Asked for each time: the place in the arena may be gone since.
  const MutableBytes room = buffer_.empty() ? sink.room() : MutableBytes(buffer_);
  if (room.size() < held_ + bytes.size()) return false;
  std::memcpy(room.data() + held_, bytes.data(), bytes.size());
  hasher_->update(bytes);
  held_ += bytes.size();
  return true;
}

Status CheckedPiece::verify() {
  const auto found = hasher_->finish();
  if (found == expected_.digest) return {};
  return fail(Code::Corrupt,
              fmt::format("wrong bytes: the origin says that their {} is {}, that of what arrived is {}",
                          expected_.kind == Hasher::Kind::Md5 ? "MD5" : "SHA-256", hex(expected_.digest), hex(found)));
}

std::uint64_t CheckedPiece::handOn(ByteSink& sink, const bool& dropped) {
  const std::uint64_t held = held_;
  const std::vector<std::byte> bytes = std::move(buffer_);
  drop();
  if (bytes.empty()) {
    sink.wrote(held);
    return held;
  }
  std::uint64_t done = 0;
  while (done < held && !dropped) {
    const MutableBytes room = sink.room();
    const std::size_t n = std::min<std::size_t>(room.size(), held - done);
    std::memcpy(room.data(), bytes.data() + done, n);
    done += n;
    sink.wrote(n);
  }
  return done;
}

}  // namespace forebay::origin
