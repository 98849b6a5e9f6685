#include "origin/azure_list.h"

#include <fmt/format.h>
#include <pugixml.hpp>
#include <strings.h>
#include <unordered_set>

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

// A name may consist of spaces alone, which XML parsers like to drop.
constexpr unsigned kParse = pugi::parse_default | pugi::parse_ws_pcdata_single;

std::unexpected<Error> corrupt(const std::string& why) {
  return fail(Code::Corrupt, "the list that the origin sent can't be right: " + why);
}

// Names that XML can't hold come percent-encoded, and say so.
Result<std::string> nameOf(const pugi::xml_node& element) {
  const pugi::xml_node name = element.child("Name");
  if (!name) return corrupt("an entry without a name");
  const std::string_view text = name.child_value();
  if (std::string_view(name.attribute("Encoded").value()) != "true") return std::string(text);
  Result<std::string> decoded = percentDecode(text, Plus::IsPlus);
  if (!decoded) return corrupt(decoded.error().message);
  return decoded;
}

// Of a blob, as text: looked for once, because a page has 5,000 blobs of 15 properties.
struct Properties {
  explicit Properties(const pugi::xml_node& blob) {
    for (const pugi::xml_node& property : blob.child("Properties").children()) {
      const std::string_view name = property.name();
      if (name == "Content-Length") length = property.child_value();
      if (name == "Etag") etag = property.child_value();
      if (name == "Last-Modified") modified = property.child_value();
      if (name == "Content-MD5") md5 = property.child_value();
      if (name == "ResourceType") type = property.child_value();
    }
  }
  const char *length = "", *etag = "", *modified = "", *md5 = "", *type = "";
};

bool isDirectoryMarker(const pugi::xml_node& blob, const Properties& properties) {
  if (strcasecmp(properties.type, "directory") == 0) return true;
  for (const pugi::xml_node& entry : blob.child("Metadata").children())
    if (strcasecmp(entry.name(), "hdi_isfolder") == 0 && strcasecmp(entry.child_value(), "true") == 0) return true;
  return false;
}

Result<ObjectInfo> infoOf(const Properties& properties, std::string_view name) {
  const auto size = parseNumber(properties.length);
  if (!size) return corrupt(fmt::format("{} has no size", shown(name)));
  ObjectInfo info{.size = *size, .version = bareEtag(properties.etag), .mtime_ns = 0};
  if (info.version.empty()) return corrupt(fmt::format("{} has no ETag", shown(name)));
  info.mtime_ns = parseHttpDate(properties.modified).value_or(0);
  return info;
}

class Builder {
 public:
  explicit Builder(std::string_view prefix) : prefix_(prefix) {}

  Status add(const pugi::xml_node& element, bool common_prefix) {
    std::string name = TRY(nameOf(element));
    if (!name.starts_with(prefix_)) return corrupt(fmt::format("{} isn't below what was listed", shown(name)));
    std::string below = name.substr(prefix_.size());
    if (common_prefix) {
      if (!below.ends_with('/')) return corrupt(fmt::format("the prefix {} doesn't end with '/'", shown(name)));
      below.pop_back();
      addDirectory(std::move(below));
      return {};
    }
    const Properties properties(element);
    if (isDirectoryMarker(element, properties)) {
      while (below.ends_with('/')) below.pop_back();
      if (!below.empty()) addDirectory(std::move(below));  // empty: the listed directory's own marker
      return {};
    }
    ObjectInfo info = TRY(infoOf(properties, name));
    if (below.empty() && info.size == 0) return {};  // "dir/": the marker that some tools leave for a directory
    // Blobs that were put as blocks often have no MD5.
    page.entries.push_back(
        {.name = std::move(below), .directory = false, .md5 = md5FromBase64(properties.md5), .info = std::move(info)});
    return {};
  }

  ListPage page;

 private:
  void addDirectory(std::string name) {  // a marker blob and a prefix may both name it
    if (!directories_.insert(name).second) return;
    page.entries.push_back({.name = std::move(name), .directory = true, .info = {}});
  }
  std::string_view prefix_;
  std::unordered_set<std::string> directories_;
};

}  // namespace

Result<ListPage> parseAzureList(std::string_view xml, std::string_view prefix, std::string_view marker) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size(), kParse);
  if (!parsed) return corrupt(fmt::format("{} at byte {}", parsed.description(), parsed.offset));
  const pugi::xml_node results = document.child("EnumerationResults");
  if (!results || !results.child("Blobs")) return corrupt("it is no EnumerationResults");
  Builder builder(prefix);
  for (const pugi::xml_node& element : results.child("Blobs").children()) {
    const std::string_view kind = element.name();
    if (kind == "Blob") TRY(builder.add(element, false));
    if (kind == "BlobPrefix") TRY(builder.add(element, true));
  }
  builder.page.next = results.child_value("NextMarker");
  if (!builder.page.next.empty() && builder.page.next == marker) return corrupt("its next page is itself");
  return std::move(builder.page);
}

}  // namespace forebay::origin
