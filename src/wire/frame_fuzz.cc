// Any 64 bytes: a header that is accepted is within the limits, and is encoded to the same bytes but for reserved ones.
#include <cstdlib>

#include "base/checksum.h"
#include "wire/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay;
  if (size < wire::kHeaderBytes) return 0;
  std::array<std::byte, wire::kHeaderBytes> bytes;
  std::memcpy(bytes.data(), data, bytes.size());
  // Half of the inputs get a right magic and checksum: the fuzzer can't guess a CRC.
  if ((data[0] & 1) != 0) {
    storeLe<std::uint32_t>(bytes.data(), wire::kMagic);
    storeLe<std::uint32_t>(bytes.data() + 60, crc32c(Bytes(bytes).first(60)));
  }
  const auto header = wire::decodeHeader(bytes);
  if (!header) return 0;
  if (header->body_length > wire::kMaxBody || header->bulk_length > wire::kMaxBulk) std::abort();
  std::array<std::byte, wire::kHeaderBytes> again;
  wire::encodeHeader(*header, again);
  const auto back = wire::decodeHeader(again);
  if (!back || *back != *header) std::abort();
  const Bytes body = std::as_bytes(std::span(data, size)).subspan(wire::kHeaderBytes);
  if (wire::checkBody(*header, body) && body.size() != header->body_length) std::abort();
  return 0;
}
