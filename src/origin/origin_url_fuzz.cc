// Any bytes as an origin's URL or endpoint: an Error, or something that reads the same again.
#include <cstdlib>

#include "origin/origin_url.h"

using namespace forebay::origin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto url = parseUrl(text)) {
    const auto again = parseUrl(url->text());
    if (!again || *again != *url) std::abort();
  }
  if (const auto endpoint = parseEndpoint(text)) {
    if (endpoint->authority.empty()) std::abort();
    (void)endpoint->isAddress();
  }
  return 0;
}
