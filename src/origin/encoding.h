// How names, times and digests are written in requests and answers of object stores. Pure; for any input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "origin/origin.h"

namespace forebay::origin {

// RFC 3986: everything but letters, digits and "-._~" becomes %XX (upper case), byte by byte. Signatures of both
// services are over exactly this form. In a path '/' stays.
std::string percentEncode(std::string_view text);
std::string percentEncodePath(std::string_view path);

// The reverse. InvalidArgument for a '%' without two hexadecimal digits.
enum class Plus { IsPlus, IsSpace };  // IsSpace: S3's encoding-type=url follows HTML forms
Result<std::string> percentDecode(std::string_view text, Plus plus);

std::string base64(Bytes bytes);
// Standard alphabet, padded; nothing for anything else.
std::optional<std::string> base64Decode(std::string_view text);
// A Content-MD5. Nothing for anything else.
std::optional<Md5> md5FromBase64(std::string_view text);
// 32 hexadecimal digits in lower case, as S3's ETags have it.
std::optional<Md5> md5FromHex(std::string_view text);

// "Sun, 06 Nov 1994 08:49:37 GMT", in nanoseconds since 1970. Nothing for what is no such date.
std::string httpDate(std::int64_t wall_ns);
std::optional<std::int64_t> parseHttpDate(std::string_view text);

// "19941106T084937Z", as SigV4 wants it.
std::string compactIsoTime(std::int64_t wall_ns);
// "1994-11-06T08:49:37.123Z", the fraction optional and of any length; UTC alone.
std::optional<std::int64_t> parseIsoTime(std::string_view text);

// A decimal number and nothing else; nothing where it doesn't fit.
std::optional<std::uint64_t> parseNumber(std::string_view text);

// For a message: at most 200 bytes, quoted, control characters escaped. Names come from outside.
std::string shown(std::string_view name);

// An ETag without quotes and weakness mark: headers have quotes, Azure's lists don't, S3's do.
std::string bareEtag(std::string_view etag);

// Of an answer's header: "bytes 0-99/1234" or "bytes 0-99/*". None for anything else.
struct ContentRange {
  std::uint64_t first = 0, last = 0;
  std::optional<std::uint64_t> size;  // of the whole object
};
std::optional<ContentRange> parseContentRange(std::string_view text);

}  // namespace forebay::origin
