// Any bytes as the headers that origins send: times, lengths, ETags, when to come back.
#include <cstdlib>

#include "origin/encoding.h"
#include "origin/retry.h"

using namespace forebay::origin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"Retry-After", "x-ms-retry-after-ms"}) {
    forebay::io::HttpHeaders headers;
    headers.add(name, text);
    const auto wait = retryAfter(headers, 1'700'000'000'000'000'000);
    if (wait && (wait->count() < 0 || *wait > std::chrono::hours(1))) std::abort();
  }
  if (const auto time = parseHttpDate(text); time && *time >= 0 && parseHttpDate(httpDate(*time)) != *time)
    std::abort();
  (void)parseIsoTime(text);
  (void)bareEtag(text);
  (void)base64Decode(text);
  if (*percentDecode(percentEncode(text), Plus::IsSpace) != text) std::abort();
  (void)percentDecode(text, Plus::IsPlus);
  if (shown(text).size() > 1000) std::abort();
  return 0;
}
