// Any bytes as an answer to a list, of both services: an Error or a page, whose names are below what was listed.
#include <cstdlib>

#include "origin/azure_list.h"
#include "origin/dialect.h"
#include "origin/s3_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string_view prefix : {"", "p/"}) {
    for (const auto& page :
         {forebay::origin::parseAzureList(text, prefix, "m"), forebay::origin::parseS3List(text, prefix, "m")}) {
      if (!page) continue;
      if (page->next == "m") std::abort();
      for (const auto& entry : page->entries)
        if (!entry.directory && entry.info.version.empty()) std::abort();
    }
  }
  const std::string next = forebay::origin::plainTextOf(text, "NextMarker");
  if (next.find_first_of("<&") != std::string::npos || next.size() > size) std::abort();
  if (forebay::origin::xmlErrorCode(text).size() > 64) std::abort();
  return 0;
}
