// Any bytes, in pieces of any size, as a request: it ends in one of three states and never in a longer head than
// allowed.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "frontend/admin/http_request.h"

using forebay::admin::HttpRequest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] % 64 + 1U;  // the first byte cuts the rest
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  HttpRequest request;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto state = request.feed(bytes.substr(at, piece));
    if (state == HttpRequest::State::Complete && (request.method().empty() || request.path().size() > bytes.size())) {
      std::abort();
    }
    if (state == HttpRequest::State::Refused && request.refusal() < 400) std::abort();
  }
  return 0;
}
