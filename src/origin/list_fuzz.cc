// Any bytes as an answer to a list, of both services: an Error or a page, whose names are below what was listed. What
// is read without a tree is what the tree says.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "origin/azure_list.h"
#include "origin/dialect.h"
#include "origin/s3_list.h"

namespace {

using forebay::origin::ListEntry;
using forebay::origin::ListPage;

bool same(const ListEntry& a, const ListEntry& b) {
  return a.name == b.name && a.directory == b.directory && a.md5 == b.md5 && a.info.size == b.info.size &&
         a.info.version == b.info.version && a.info.mtime_ns == b.info.mtime_ns;
}

void compare(const std::optional<ListPage>& plain, const forebay::Result<ListPage>& tree) {
  if (!plain) return;
  if (!tree || plain->next != tree->next || !std::ranges::equal(plain->entries, tree->entries, same)) std::abort();
}

// Neither way is likely to get far into bytes that are any: so they stand within a list, too.
void compareWays(const std::string& text, std::string_view prefix) {
  compare(forebay::origin::readPlainAzureList(text, prefix), forebay::origin::readAzureListTree(text, prefix));
  compare(forebay::origin::readPlainS3List(text, prefix), forebay::origin::readS3ListTree(text, prefix));
}

constexpr std::pair<std::string_view, std::string_view> kFrames[] = {
    {"", ""},
    {"<EnumerationResults><Blobs>", "</Blobs><NextMarker>n</NextMarker></EnumerationResults>"},
    {"<EnumerationResults><Blobs><Blob><Name>", "</Name></Blob></Blobs></EnumerationResults>"},
    {"<EnumerationResults><Blobs><Blob><Name>p/a</Name><Properties><Etag>e</Etag><Content-Length>1</Content-Length>",
     "</Properties></Blob></Blobs></EnumerationResults>"},
    {"<EnumerationResults><Blobs><Blob><Properties><Etag>e</Etag><Content-Length>1</Content-Length></Properties>",
     "<Name>p/b</Name></Blob></Blobs></EnumerationResults>"},
    {"<ListBucketResult>", "</ListBucketResult>"},
    {"<ListBucketResult><Contents><Key>", "</Key><ETag>e</ETag><Size>1</Size></Contents></ListBucketResult>"},
    {"<ListBucketResult><Contents><ETag>e</ETag><Size>1</Size>",
     "<Key>p%2F</Key></Contents><EncodingType>url</EncodingType></ListBucketResult>"},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string_view prefix : {"", "p/"}) {
    for (const auto& [before, after] : kFrames) compareWays(std::string(before).append(text).append(after), prefix);
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
