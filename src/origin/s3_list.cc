#include "origin/s3_list.h"

#include <fmt/format.h>
#include <pugixml.hpp>

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

constexpr unsigned kParse = pugi::parse_default | pugi::parse_ws_pcdata_single;  // a key may be spaces alone

std::unexpected<Error> corrupt(const std::string& why) {
  return fail(Code::Corrupt, "the list that the origin sent can't be right: " + why);
}

struct Reader {
  std::string_view prefix;
  bool encoded = false;

  Result<std::string> below(std::string_view text) const {
    std::string name(text);
    if (encoded) {
      Result<std::string> decoded = percentDecode(text, Plus::IsSpace);
      if (!decoded) return corrupt(decoded.error().message);
      name = std::move(*decoded);
    }
    if (!name.starts_with(prefix)) return corrupt(fmt::format("{} isn't below what was listed", shown(name)));
    return name.substr(prefix.size());
  }

  Status addObject(const pugi::xml_node& element, ListPage& page) const {
    std::string name = TRY(below(element.child_value("Key")));
    const auto size = parseNumber(element.child_value("Size"));
    std::string etag = bareEtag(element.child_value("ETag"));
    if (!size || etag.empty()) return corrupt(fmt::format("{} has no size or no ETag", shown(name)));
    if (name.empty() && *size == 0) return {};  // "dir/": the marker that some tools leave for a directory
    const std::int64_t mtime = parseIsoTime(element.child_value("LastModified")).value_or(0);
    page.entries.push_back({.name = std::move(name),
                            .directory = false,
                            .info = {.size = *size, .version = std::move(etag), .mtime_ns = mtime}});
    return {};
  }

  Status addPrefix(const pugi::xml_node& element, ListPage& page) const {
    std::string name = TRY(below(element.child_value("Prefix")));
    if (!name.ends_with('/')) return corrupt(fmt::format("the prefix {} doesn't end with '/'", shown(name)));
    name.pop_back();
    page.entries.push_back({.name = std::move(name), .directory = true, .info = {}});
    return {};
  }
};

}  // namespace

Result<ListPage> parseS3List(std::string_view xml, std::string_view prefix, std::string_view token) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size(), kParse);
  if (!parsed) return corrupt(fmt::format("{} at byte {}", parsed.description(), parsed.offset));
  const pugi::xml_node results = document.child("ListBucketResult");
  if (!results) return corrupt("it is no ListBucketResult");
  const Reader reader{.prefix = prefix, .encoded = std::string_view(results.child_value("EncodingType")) == "url"};
  ListPage page;
  for (const pugi::xml_node& element : results.children()) {
    const std::string_view kind = element.name();
    if (kind == "Contents") TRY(reader.addObject(element, page));
    if (kind == "CommonPrefixes") TRY(reader.addPrefix(element, page));
  }
  if (std::string_view(results.child_value("IsTruncated")) == "true") {
    page.next = results.child_value("NextContinuationToken");
    if (page.next.empty()) return corrupt("it goes on, but doesn't say where");
    if (page.next == token) return corrupt("its next page is itself");
  }
  return page;
}

}  // namespace forebay::origin
