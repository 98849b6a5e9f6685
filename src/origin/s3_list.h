// Answers of S3's ListObjectsV2 as a ListPage. Pure, for any bytes.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "origin/origin.h"

namespace forebay::origin {

// `prefix`: what was listed, whole; every key must start with it and loses it. `token`: the continuation token that
// this page was asked with. Keys are percent-decoded where the answer says EncodingType=url. Corrupt for anything that
// can't be such a list.
Result<ListPage> parseS3List(std::string_view xml, std::string_view prefix, std::string_view token);

// Its two ways, as Azure's (origin/azure_list.h).
std::optional<ListPage> readPlainS3List(std::string_view xml, std::string_view prefix);
Result<ListPage> readS3ListTree(std::string_view xml, std::string_view prefix);

}  // namespace forebay::origin
