// Answers of S3's ListObjectsV2 as a ListPage. Pure, for any bytes.
#pragma once

#include <string_view>

#include "base/result.h"
#include "origin/origin.h"

namespace forebay::origin {

// `prefix`: what was listed, whole; every key must start with it and loses it. `token`: the continuation token that
// this page was asked with. Keys are percent-decoded where the answer says EncodingType=url. Corrupt for anything that
// can't be such a list.
Result<ListPage> parseS3List(std::string_view xml, std::string_view prefix, std::string_view token);

}  // namespace forebay::origin
