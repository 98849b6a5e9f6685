// The part of HTTP/1.1 that the fake origin speaks: a request's head as it was received, and an answer to be sent.
//
// Signatures are checked over what arrived, so a Head keeps path, query and header values undecoded. Nothing here
// touches a socket; server.h does.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace forebay::fake {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Head {
  std::string method;
  std::string path;                                        // as received, still percent-encoded
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in the order received
  Headers headers;                                         // names in lower case, values trimmed, order kept
  std::uint64_t content_length = 0;
  bool chunked = false;
  bool through_proxy = false;  // the target was an absolute URL, as a proxy gets it
  bool keep_alive = true;

  // The first value of a header (name in lower case) or query key; empty where there is none.
  std::string_view header(std::string_view name) const;
  std::string_view param(std::string_view name) const;
  bool hasHeader(std::string_view name) const;
  bool hasParam(std::string_view name) const;
};

// A head larger than this is refused with 431: Azure's own bound for headers is 32 KiB, S3's 8 KiB.
constexpr std::size_t kMaxHeadBytes = 64 * kKiB;

// Parses a head that ends with an empty line. `consumed` is its length. nullopt: more bytes are needed.
Result<std::optional<Head>> parseHead(std::string_view input, std::size_t& consumed);

// "%41b+c" -> "Ab+c". nullopt for a '%' without two hex digits. '+' stays: paths and S3 queries don't use it as space.
std::optional<std::string> percentDecode(std::string_view text);
// Everything but A-Z a-z 0-9 - . _ ~ (and '/' where `keep_slash`) becomes %XX: what SigV4 calls URI encoding.
std::string percentEncode(std::string_view text, bool keep_slash);

std::string base64(std::string_view bytes);
std::optional<std::string> unbase64(std::string_view text);

// Seconds since 1970. HTTP's own date format ("Sat, 21 Nov 2026 10:05:00 GMT"); nullopt where it isn't one.
std::optional<std::int64_t> parseHttpDate(std::string_view text);
std::string httpDate(std::int64_t seconds);
// "2026-11-21T10:05:00Z", with or without the time's seconds, or a date alone: as SAS tokens have it.
std::optional<std::int64_t> parseIsoDate(std::string_view text);
std::string isoDate(std::int64_t seconds);

// What an answer's body is made of. Files are sent with sendfile and never pass through user space.
struct Segment {
  std::shared_ptr<const std::string> text;  // or
  std::shared_ptr<const int> file;          // an open descriptor, closed with its last owner
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Answer {
  int status = 200;
  Headers headers;  // without Content-Length and Connection, which the server adds
  std::vector<Segment> body;
  std::uint64_t length = 0;  // of the body; a HEAD claims it and sends nothing
  bool no_body = false;      // HEAD, 204, 304

  // Of a read that succeeds: which bytes of which version these are, for the statistics.
  std::uint64_t content_offset = 0;
  std::string content_etag;

  void set(std::string_view name, std::string value);  // replaces
  void text(std::string body_text);                    // makes the body this text
};

std::string_view reason(int status);

// Escapes text for an XML element or attribute.
std::string xml(std::string_view text);
// Whether XML 1.0 can hold this name at all: valid UTF-8 without control characters, U+FFFE and U+FFFF.
bool fitsXml(std::string_view text);

}  // namespace forebay::fake
