// What a partial file knows of itself, so that whoever goes on needs nothing else: of which version of which size it
// is, and which of its pieces are there.
//
// It stands in the file behind the object's own bytes, twice, in turn, each with a number and a CRC32C: a crash in the
// middle of writing one leaves the other. Pure; decode() takes any bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace forebay::cli {

struct PartState {
  std::uint64_t size = 0;        // of the object
  std::uint64_t piece_size = 0;  // of all pieces but the last
  std::string version;
  std::uint64_t number = 0;   // the higher one of two is newer
  std::vector<bool> present;  // by piece

  // Of an object of this size, with nothing there.
  static PartState of(std::uint64_t size, std::string version);

  std::uint64_t pieces() const { return size == 0 ? 0 : divideUp(size, piece_size); }
  std::uint64_t pieceStart(std::uint64_t piece) const { return piece * piece_size; }
  std::uint64_t pieceLength(std::uint64_t piece) const { return std::min(piece_size, size - pieceStart(piece)); }
  std::uint64_t presentBytes() const;
  bool sameObject(const PartState& other) const {
    return size == other.size && version == other.version && piece_size == other.piece_size;
  }

  // Where the copies stand, and how much room each has.
  std::uint64_t copyAt(std::uint64_t copy) const { return roundUp(size, kAlign) + copy * copyRoom(); }
  std::uint64_t copyRoom() const;
  std::uint64_t fileSize() const { return copyAt(2); }  // of the partial file

  std::vector<std::byte> encode() const;
  // Corrupt: these bytes aren't one.
  static Result<PartState> decode(Bytes bytes);

  static constexpr std::uint64_t kAlign = 4096;
  static constexpr std::uint64_t kPiece = 4 * kMiB;    // of objects up to 256 GiB
  static constexpr std::uint64_t kMaxPieces = 65'536;  // beyond that pieces grow: 8 KiB of bits
  static constexpr std::size_t kMaxVersion = 4'096;
};

}  // namespace forebay::cli
