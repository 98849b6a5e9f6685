// What differs between object stores that speak HTTP: how a call becomes a signed request, and how answers read.
// Everything else (queue, retries, resuming, checks of what came) is HttpOrigin's.
//
// Threading: the loop's, but readList(), which any thread may call. Pure but for learn().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/http_client.h"
#include "origin/checked_piece.h"
#include "origin/credential.h"
#include "origin/origin.h"

namespace forebay::origin {

enum class CallKind { Head, Get, Open, List };  // Open: the first bytes of whatever version is there

struct Call {
  CallKind kind = CallKind::Head;
  std::string path;     // of an object, or the prefix of a list; relative to the URL's prefix
  std::string version;  // Get: exactly this one
  std::uint64_t offset = 0, length = 0;
  bool checked = false;  // Get, Open: with a checksum of the range, where the service gives one
  std::string next;      // List: where the last page ended
  std::uint32_t max = 0;
};

class Dialect {
 public:
  virtual ~Dialect() = default;

  // URL and headers, signed for this moment: made anew for every attempt, because services refuse old dates.
  // `credential`: what to sign with where that is temporary; null: what the dialect was made with.
  virtual Result<io::HttpRequest> request(const Call& call, const Credential* credential,
                                          std::int64_t wall_ns) const = 0;

  virtual Result<ObjectInfo> readHead(const io::HttpResponse& response) const = 0;
  virtual Result<ListPage> readList(const Call& call, std::string_view body) const = 0;
  // Where the page after this one begins, without reading it. Empty: there is none, or only reading it will tell.
  virtual std::string nextOfList(std::string_view body) const = 0;

  // What the service says that exactly the bytes of this answer to a Get or an Open have; nothing where it doesn't.
  // `whole`: they are all of the object's.
  virtual std::optional<Checksum> checksumOf(const io::HttpResponse& response, bool whole) const = 0;
  // The longest range that it gives a checksum of.
  virtual std::uint64_t longestChecked() const = 0;

  // The service's own word for an error ("ServerBusy", "NoSuchKey"), empty where it gives none. Letters and digits
  // only.
  virtual std::string errorCode(const io::HttpResponse& response) const = 0;
  // Whether that code says "again" although the status doesn't, or that the credentials themselves were refused.
  virtual bool isTransient(std::string_view error_code) const = 0;
  virtual bool isUnauthenticated(std::string_view error_code) const = 0;
  // Whether the answer may mean that a temporary credential has ended (or was revoked): another is worth a try.
  virtual bool mayHaveExpired(int status, std::string_view error_code) const = 0;
  // What a person can do about a refusal: names the kind of credential and where it came from, never its content.
  virtual std::string advice(int status, std::string_view error_code) const = 0;
  // What a person can do when nobody answers at the service's address.
  virtual std::string unreachableAdvice() const = 0;

  // True if the answer told something that makes the same call worth sending again at once (S3: the bucket's region).
  // Asked at most once per call.
  virtual bool learn(const io::HttpResponse& response) = 0;

  virtual std::string url() const = 0;
};

// The <Code> of an error's XML body, or empty. For any bytes.
std::string xmlErrorCode(std::string_view body);
// The text of an element of that name in the first or the last 4 KiB, if nothing in it is written in XML's own way;
// else empty. For any bytes.
std::string plainTextOf(std::string_view xml, std::string_view element);
// Letters and digits, at most 64; empty for anything else: codes of others reach messages and logs.
std::string cleanErrorCode(std::string_view code);

}  // namespace forebay::origin
