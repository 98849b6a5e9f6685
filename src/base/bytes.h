// Spans of bytes, and little-endian integers in them: the form of everything fixed-layout on the wire.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace forebay {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

static_assert(std::endian::native == std::endian::little, "the wire's layout is the machine's: port load and store");

template <std::unsigned_integral T>
T loadLe(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <std::unsigned_integral T>
void storeLe(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

inline Bytes bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view textOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

constexpr std::uint64_t roundUp(std::uint64_t value, std::uint64_t step) {
  return (value + step - 1) / step * step;
}
constexpr std::uint64_t roundDown(std::uint64_t value, std::uint64_t step) {
  return value / step * step;
}
constexpr std::uint64_t divideUp(std::uint64_t value, std::uint64_t step) {
  return (value + step - 1) / step;
}

}  // namespace forebay
