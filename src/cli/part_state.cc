#include "cli/part_state.h"

#include <algorithm>
#include <cstring>

#include "base/checksum.h"

namespace forebay::cli {
namespace {

// magic 8 | number u64 | size u64 | piece size u64 | version's length u32 | CRC32C of all but itself u32 | version |
// a bit per piece
constexpr std::size_t kHead = 40, kCrcAt = 36;
constexpr std::string_view kMagic = "FBYPART1";

std::uint32_t crcOf(Bytes bytes) {
  return crc32c(bytes.subspan(kHead), crc32c(bytes.first(kCrcAt)));
}

}  // namespace

PartState PartState::of(std::uint64_t size, std::string version) {
  PartState state;
  state.size = size;
  state.piece_size = std::max(kPiece, roundUp(divideUp(size, kMaxPieces), kMiB));
  state.version = std::move(version);
  state.present.resize(state.pieces());
  return state;
}

std::uint64_t PartState::presentBytes() const {
  std::uint64_t bytes = 0;
  for (std::size_t piece = 0; piece < present.size(); ++piece) bytes += present[piece] ? pieceLength(piece) : 0;
  return bytes;
}

std::uint64_t PartState::copyRoom() const {
  return roundUp(kHead + version.size() + divideUp(pieces(), 8), kAlign);
}

std::vector<std::byte> PartState::encode() const {
  std::vector<std::byte> bytes(kHead + version.size() + divideUp(present.size(), 8));
  std::byte* p = bytes.data();
  std::memcpy(p, kMagic.data(), kMagic.size());
  storeLe<std::uint64_t>(p + 8, number);
  storeLe<std::uint64_t>(p + 16, size);
  storeLe<std::uint64_t>(p + 24, piece_size);
  storeLe<std::uint32_t>(p + 32, static_cast<std::uint32_t>(version.size()));
  std::memcpy(p + kHead, version.data(), version.size());
  std::byte* bits = p + kHead + version.size();
  for (std::size_t piece = 0; piece < present.size(); ++piece)
    if (present[piece]) bits[piece / 8] |= std::byte{1} << (piece % 8);
  storeLe<std::uint32_t>(p + kCrcAt, crcOf(bytes));
  return bytes;
}

Result<PartState> PartState::decode(Bytes bytes) {
  const auto none = [] { return fail(Code::Corrupt, "not the state of a partial file"); };
  if (bytes.size() < kHead || textOf(bytes.first(kMagic.size())) != kMagic) return none();
  PartState state;
  state.number = loadLe<std::uint64_t>(bytes.data() + 8);
  state.size = loadLe<std::uint64_t>(bytes.data() + 16);
  state.piece_size = loadLe<std::uint64_t>(bytes.data() + 24);
  const auto version = loadLe<std::uint32_t>(bytes.data() + 32);
  if (version > kMaxVersion || state.piece_size == 0 || state.piece_size % kMiB != 0) return none();
  if (state.pieces() > kMaxPieces) return none();
  const std::size_t length = kHead + version + divideUp(state.pieces(), 8);
  if (bytes.size() < length) return none();
  bytes = bytes.first(length);
  if (loadLe<std::uint32_t>(bytes.data() + kCrcAt) != crcOf(bytes)) return none();
  state.version = textOf(bytes.subspan(kHead, version));
  state.present.resize(state.pieces());
  const Bytes bits = bytes.subspan(kHead + version);
  for (std::size_t piece = 0; piece < state.present.size(); ++piece)
    state.present[piece] = (bits[piece / 8] >> (piece % 8) & std::byte{1}) != std::byte{0};
  return state;
}

}  // namespace forebay::cli
