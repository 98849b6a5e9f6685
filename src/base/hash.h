// Hashes whose values are part of the protocol: never std::hash, whose value no standard fixes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace forebay {

using Digest = std::array<std::byte, 32>;

// XXH3, 64 bits, seed 0 (golden vectors in hash_test.cc). For placement, not for secrets.
std::uint64_t hash64(Bytes bytes);
inline std::uint64_t hash64(std::string_view text) {
  return hash64(bytesOf(text));
}
// A finaliser for integers (SplitMix64's, Steele et al. 2014): for mixing ids into scores.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

Digest hmacSha256(Bytes key, Bytes message);
Digest sha256(Bytes message);

// Compares without revealing by its time where the first difference is.
bool equalInConstantTime(Bytes a, Bytes b);

std::string hex(Bytes bytes);

}  // namespace forebay
