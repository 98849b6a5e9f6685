#include "origin/encoding.h"

#include <charconv>
#include <chrono>
#include <fmt/format.h>
#include <openssl/evp.h>

namespace forebay::origin {
namespace {

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::int64_t kSecond = 1'000'000'000;

bool isUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string encode(std::string_view text, bool keep_slash) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + 16);
  for (const char c : text) {
    if (isUnreserved(c) || (keep_slash && c == '/')) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct Civil {
  int year, month, day, hour, minute, second;
  unsigned weekday;
};

Civil civilOf(std::int64_t wall_ns) {
  using namespace std::chrono;
  const sys_seconds time{seconds(wall_ns / kSecond)};
  const sys_days days = floor<std::chrono::days>(time);
  const year_month_day date{days};
  const auto of_day = (time - days).count();
  return {int(date.year()),
          static_cast<int>(unsigned(date.month())),
          static_cast<int>(unsigned(date.day())),
          static_cast<int>(of_day / 3600),
          static_cast<int>(of_day / 60 % 60),
          static_cast<int>(of_day % 60),
          weekday(days).c_encoding()};
}

std::optional<std::int64_t> wallOf(const Civil& c) {
  using namespace std::chrono;
  const year_month_day date{year(c.year), month(static_cast<unsigned>(c.month)), day(static_cast<unsigned>(c.day))};
  // Nanoseconds in 64 bits reach from 1677 to 2262.
  if (c.year < 1678 || c.year > 2261 || !date.ok() || c.hour > 23 || c.minute > 59 || c.second > 60)
    return std::nullopt;
  const std::int64_t day_seconds = std::int64_t{sys_days(date).time_since_epoch().count()} * 86'400;
  return (day_seconds + std::int64_t{c.hour} * 3600 + std::int64_t{c.minute} * 60 + c.second) * kSecond;
}

// `count` digits at `at`; -1 where there are none.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) return -1;
  int value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string percentEncode(std::string_view text) {
  return encode(text, false);
}
std::string percentEncodePath(std::string_view path) {
  return encode(path, true);
}

Result<std::string> percentDecode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::IsSpace) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return fail(Code::InvalidArgument, fmt::format("{} has a bad %XX", shown(text)));
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

std::string base64(Bytes bytes) {
  std::string out(4 * divideUp(bytes.size(), 3) + 1, 0);
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::string> base64Decode(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 64 * kKiB) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  // OpenSSL skips white space and takes '=' anywhere.
  if (text.substr(0, text.size() - padding)
          .find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
      std::string_view::npos)
    return std::nullopt;
  std::string out(text.size() / 4 * 3, 0);
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

std::optional<Md5> md5FromBase64(std::string_view text) {
  const auto bytes = base64Decode(text);
  Md5 md5{};
  if (!bytes || bytes->size() != md5.size()) return std::nullopt;
  std::memcpy(md5.data(), bytes->data(), md5.size());
  return md5;
}

std::optional<Md5> md5FromHex(std::string_view text) {
  Md5 md5{};
  if (text.size() != 2 * md5.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    md5[i / 2] = (md5[i / 2] << 4) | static_cast<std::byte>(digit);
  }
  return md5;
}

std::string httpDate(std::int64_t wall_ns) {
  const Civil c = civilOf(wall_ns);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[c.weekday], c.day,
                     kMonths.substr(3 * (static_cast<std::size_t>(c.month) - 1), 3), c.year, c.hour, c.minute,
                     c.second);
}

std::optional<std::int64_t> parseHttpDate(std::string_view text) {
  // Day names are not checked: they say nothing that the date doesn't.
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return std::nullopt;
  if (text[7] != ' ' || text[11] != ' ' || text[16] != ' ' || text[19] != ':' || text[22] != ':') return std::nullopt;
  const std::size_t at = kMonths.find(text.substr(8, 3));
  const int month = at != std::string_view::npos && at % 3 == 0 ? static_cast<int>(at / 3) + 1 : 0;
  const Civil c{digits(text, 12, 4), month, digits(text, 5, 2), digits(text, 17, 2), digits(text, 20, 2),
                digits(text, 23, 2), 0};
  if (month == 0 || c.year < 0 || c.day < 0 || c.hour < 0 || c.minute < 0 || c.second < 0) return std::nullopt;
  return wallOf(c);
}

std::string compactIsoTime(std::int64_t wall_ns) {
  const Civil c = civilOf(wall_ns);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second);
}

std::optional<std::int64_t> parseIsoTime(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
      text.back() != 'Z')
    return std::nullopt;
  const Civil c{digits(text, 0, 4),
                digits(text, 5, 2),
                digits(text, 8, 2),
                digits(text, 11, 2),
                digits(text, 14, 2),
                digits(text, 17, 2),
                0};
  if (c.year < 0 || c.month < 1 || c.day < 1 || c.hour < 0 || c.minute < 0 || c.second < 0) return std::nullopt;
  std::int64_t fraction = 0;
  if (text.size() > 20) {
    if (text[19] != '.' || text.size() == 21) return std::nullopt;
    std::int64_t unit = kSecond;
    for (const char digit : text.substr(20, text.size() - 21)) {
      if (digit < '0' || digit > '9') return std::nullopt;
      unit /= 10;
      fraction += (digit - '0') * unit;
    }
  }
  const auto whole = wallOf(c);
  if (!whole) return std::nullopt;
  return *whole + fraction;
}

std::optional<std::uint64_t> parseNumber(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string shown(std::string_view name) {
  constexpr std::size_t kMax = 200;
  std::string out = "'";
  for (const char c : name.substr(0, kMax)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  out += name.size() > kMax ? fmt::format("'... ({} bytes)", name.size()) : "'";
  return out;
}

std::string bareEtag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

std::optional<ContentRange> parseContentRange(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const auto dash = text.find('-');
  const auto slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
  const auto first = parseNumber(text.substr(0, dash));
  const auto last = parseNumber(text.substr(dash + 1, slash - dash - 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return ContentRange{*first, *last, parseNumber(text.substr(slash + 1))};
}

}  // namespace forebay::origin
