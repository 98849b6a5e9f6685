#include "origin/origin.h"

namespace forebay::origin {
namespace {
Labels of(std::string_view mount) {
  return {{"mount", std::string(mount)}};
}
Labels of(std::string_view mount, const char* kind) {
  return {{"mount", std::string(mount)}, {"kind", kind}};
}
constexpr const char* kRequests = "forebay_origin_requests_total";
constexpr const char* kRequestsHelp = "Requests sent to the origin, retries included.";
}  // namespace

OriginMetrics::OriginMetrics(Metrics& m, std::string_view mount)
    : bytes(m.counter("forebay_origin_bytes_total", "Bytes of bodies received from the origin.", of(mount))),
      gets(m.counter(kRequests, kRequestsHelp, of(mount, "get"))),
      heads(m.counter(kRequests, kRequestsHelp, of(mount, "head"))),
      lists(m.counter(kRequests, kRequestsHelp, of(mount, "list"))),
      retries(m.counter("forebay_origin_retries_total", "Requests to the origin that were repeated.", of(mount))),
      checked(m.counter("forebay_origin_checked_bytes_total",
                        "Bytes from the origin that have the checksum that it gave for them.", of(mount))),
      bad_checksums(m.counter("forebay_origin_bad_checksums_total",
                              "Ranges from the origin whose bytes don't have the checksum that it gave for them.",
                              of(mount))),
      errors(m.counter("forebay_origin_errors_total", "Calls to the origin that failed in the end.", of(mount))),
      credential_refreshes(m.counter("forebay_origin_credential_refreshes_total",
                                     "Temporary credentials that were obtained or renewed.", of(mount))),
      credential_failures(m.counter("forebay_origin_credential_failures_total",
                                    "Attempts to obtain or renew credentials that failed.", of(mount))),
      first_byte(m.histogram("forebay_origin_first_byte_seconds", "From sending a GET to its first byte.", of(mount))),
      wait(m.histogram("forebay_origin_wait_seconds", "Waiting for a place among max_concurrent.", of(mount))) {}

}  // namespace forebay::origin
