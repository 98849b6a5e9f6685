// Answers of Azure's List Blobs (comp=list) as a ListPage. Pure, for any bytes.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "origin/origin.h"

namespace forebay::origin {

// `prefix`: what was listed, whole (the URL's prefix included); every name must start with it and loses it.
// `marker`: what this page was asked with; a page that names itself as the next one would be listed forever.
// A directory's marker blob (hdi_isfolder, ResourceType) is a directory. Corrupt for anything that can't be such a
// list.
Result<ListPage> parseAzureList(std::string_view xml, std::string_view prefix, std::string_view marker);

// Its two ways. The first reads lists as the service writes them, in a fraction of the time, and gives nothing for any
// other text; what it gives, the second gives too.
std::optional<ListPage> readPlainAzureList(std::string_view xml, std::string_view prefix);
Result<ListPage> readAzureListTree(std::string_view xml, std::string_view prefix);

}  // namespace forebay::origin
