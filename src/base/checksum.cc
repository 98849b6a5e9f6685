#include "base/checksum.h"

#include <isa-l/crc.h>

namespace forebay {

std::uint32_t crc32c(Bytes bytes, std::uint32_t seed) {
  // isa-l takes an int length and a non-const pointer that it only reads; it leaves the final inversion to us.
  std::uint32_t state = ~seed;
  auto* at = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
  std::size_t left = bytes.size();
  constexpr std::size_t kStep = 1U << 30;
  while (left > 0) {
    const std::size_t now = left < kStep ? left : kStep;
    state = crc32_iscsi(at, static_cast<int>(now), state);
    at += now;
    left -= now;
  }
  return ~state;
}

}  // namespace forebay
