// CRC32C (Castagnoli), as kept with each granule and sent with each piece of bulk.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace forebay {

// The usual CRC32C (RFC 3720, appendix B.4): crc32c("123456789") is 0xE3069283.
// `seed` continues a checksum: crc32c(b, crc32c(a)) == crc32c(a + b).
std::uint32_t crc32c(Bytes bytes, std::uint32_t seed = 0);

}  // namespace forebay
