// A dialect turns requests into answers: Azure Blob (azure.h) or S3 (s3.h). It knows no socket, clock or fault.
//
// The order of calls for a request: locate (what does it want?), authenticate (may it?), then serve once its body has
// arrived. Each may refuse; refuse() makes the dialect's own error of a Refusal.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fake_origin/auth.h"
#include "fake_origin/faults.h"
#include "fake_origin/http.h"
#include "fake_origin/listing.h"
#include "fake_origin/objects.h"

namespace forebay::fake {

// What tests may change at run time, through POST /settings.
struct Settings {
  std::uint64_t latency_ms = 0;            // before an answer starts
  std::uint64_t rate_bytes = 0;            // of bodies per second, all connections together; 0: no bound
  std::uint64_t page_cap = 0;              // a page of a listing holds at most so many; 0: the service's own bound
  bool empty_pages = false;                // each page of a listing is preceded by an empty one with a marker
  std::int64_t clock_offset_s = 0;         // what our clock is wrong by
  bool anonymous = false;                  // reads and lists without credentials
  std::uint64_t idle_timeout_ms = 60'000;  // a connection without a request is closed
};

struct Target {
  Op op = Op::Other;
  Access access = Access::Read;
  std::string container;
  std::string name;  // of the object; of a list: its prefix
};

struct ReceivedBody {
  std::shared_ptr<const std::string> text;  // small, or
  std::shared_ptr<const int> file;          // a memfd
  std::uint64_t size = 0;
  std::string sha256_hex;  // where the request names one
  std::string md5_base64;  // where the request names one
};

struct Context {
  ObjectStore& objects;
  const Settings& settings;
  std::int64_t now_s;
};

class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual std::expected<Target, Refusal> locate(const Head& head) const = 0;
  virtual std::optional<Refusal> authenticate(const Head& head, const Target& target, const Context& context) const = 0;
  virtual Answer serve(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const = 0;
  virtual Answer refuse(const Head& head, const Refusal& refusal) const = 0;
  // The error code that the service uses for this status when nothing else is wrong than the service itself.
  virtual std::string_view usualCode(int status) const = 0;
  // Headers that every answer has, whatever happened.
  virtual void stamp(const Head& head, std::uint64_t request, Answer& answer) const = 0;

 protected:
  struct ReadRules {
    std::string range;              // the header that counts, empty: none
    bool suffix_allowed = false;    // bytes=-N
    bool ignore_malformed = false;  // 200 and everything; else 400
    const char* no_container;       // error codes
    const char* no_object;
    const char* precondition;
  };
  // HEAD and GET of an object: existence, conditions, range, content. `describe` adds the dialect's own headers.
  Answer read(const Head& head, const Target& target, const ReadRules& rules, Context& context) const;
  virtual std::string etag(const Object& object) const = 0;
  virtual void describe(const Object& object, Answer& answer) const = 0;

  struct Page {
    ListResult result;
    std::string next;  // the marker; empty: the last page
  };
  // Applies Settings::page_cap and empty_pages. An error text for a marker that isn't one of ours.
  std::expected<Page, Refusal> page(const Objects& objects, ListRequest request, std::string_view marker,
                                    const Settings& settings) const;
};

struct HostName {
  std::string name;  // without port
  std::string first_label;
};
HostName hostName(const Head& head);

}  // namespace forebay::fake
