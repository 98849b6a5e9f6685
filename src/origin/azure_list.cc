#include "origin/azure_list.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <pugixml.hpp>
#include <unordered_set>
#include <utility>

#include "origin/encoding.h"
#include "origin/plain_xml.h"

namespace forebay::origin {
namespace {

// A name may consist of spaces alone, which XML parsers like to drop.
constexpr unsigned kParse = pugi::parse_default | pugi::parse_ws_pcdata_single;

std::unexpected<Error> corrupt(const std::string& why) {
  return fail(Code::Corrupt, "the list that the origin sent can't be right: " + why);
}

// What a page has at most, and about what one costs without metadata: room for nearly all is made at once.
constexpr std::size_t kMostEntries = 5'000, kLeastBytes = 300;

// Of a Blob or a BlobPrefix, as text: a page has 5,000 of them, with 15 properties each.
enum Property : std::uint8_t { kLength, kEtag, kModified, kMd5, kType, kUnused };
struct Entry {
  std::string_view name;
  std::array<std::string_view, kUnused> properties;
  bool encoded = false;  // the name
  bool folder = false;   // its metadata say so
};

Property propertyOf(std::string_view name) {
  if (name == "Content-Length") return kLength;
  if (name == "Etag") return kEtag;
  if (name == "Last-Modified") return kModified;
  if (name == "Content-MD5") return kMd5;
  if (name == "ResourceType") return kType;
  return kUnused;
}

bool sameLetters(std::string_view a, std::string_view b) {  // capital or not
  const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, small, small);
}
bool tellsFolder(std::string_view metadata) {
  return sameLetters(metadata, "hdi_isfolder");
}

// Names that XML can't hold come percent-encoded, and say so.
Result<std::string> belowOf(const Entry& entry, std::string_view prefix) {
  std::string decoded;
  std::string_view name = entry.name;
  if (entry.encoded) {
    Result<std::string> plain = percentDecode(name, Plus::IsPlus);
    if (!plain) return corrupt(plain.error().message);
    decoded = std::move(*plain);
    name = decoded;
  }
  if (!name.starts_with(prefix)) return corrupt(fmt::format("{} isn't below what was listed", shown(name)));
  return std::string(name.substr(prefix.size()));
}

Result<ObjectInfo> infoOf(const Entry& entry) {
  const auto size = parseNumber(entry.properties[kLength]);
  if (!size) return corrupt(fmt::format("{} has no size", shown(entry.name)));
  ObjectInfo info{.size = *size, .version = bareEtag(entry.properties[kEtag]), .mtime_ns = 0};
  if (info.version.empty()) return corrupt(fmt::format("{} has no ETag", shown(entry.name)));
  info.mtime_ns = parseHttpDate(entry.properties[kModified]).value_or(0);
  return info;
}

class Builder {
 public:
  Builder(std::string_view prefix, std::size_t xml_bytes) : prefix_(prefix) {
    page.entries.reserve(std::min(kMostEntries, xml_bytes / kLeastBytes));
  }

  Status addBlob(const Entry& entry) {
    std::string below = TRY(belowOf(entry, prefix_));
    if (entry.folder || sameLetters(entry.properties[kType], "directory")) {
      while (below.ends_with('/')) below.pop_back();
      if (!below.empty()) addDirectory(std::move(below));  // empty: the listed directory's own marker
      return {};
    }
    ObjectInfo info = TRY(infoOf(entry));
    if (below.empty() && info.size == 0) return {};  // "dir/": the marker that some tools leave for a directory
    // Blobs that were put as blocks often have no MD5.
    page.entries.push_back({.name = std::move(below),
                            .directory = false,
                            .md5 = md5FromBase64(entry.properties[kMd5]),
                            .info = std::move(info)});
    return {};
  }
  Status addPrefix(const Entry& entry) {
    std::string below = TRY(belowOf(entry, prefix_));
    if (!below.ends_with('/')) return corrupt(fmt::format("the prefix {} doesn't end with '/'", shown(entry.name)));
    below.pop_back();
    addDirectory(std::move(below));
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

// ---- plain XML, as the service writes it ----

class PlainReader {
 public:
  PlainReader(std::string_view xml, Builder& builder) : in_(xml), builder_(builder) {}

  // False: it isn't plain, or isn't such a list; the tree tells.
  bool read() {
    if (!in_.next() || in_.name() != "EnumerationResults") return false;
    bool blobs = false, marker = false;
    while (in_.next()) {
      if (in_.name() == "Blobs") {
        if (std::exchange(blobs, true) || !readBlobs()) return false;
      } else if (in_.name() == "NextMarker") {
        if (std::exchange(marker, true)) return false;
        builder_.page.next = in_.text(other_scratch_);
      } else {
        in_.skip();
      }
    }
    return blobs && in_.ended();
  }

 private:
  bool readBlobs() {
    while (in_.next()) {
      const bool blob = in_.name() == "Blob";
      if (!blob && in_.name() != "BlobPrefix") {
        in_.skip();
        continue;
      }
      Entry entry;
      if (!readEntry(entry) || !(blob ? builder_.addBlob(entry) : builder_.addPrefix(entry))) return false;
    }
    return true;
  }

  bool readEntry(Entry& entry) {
    bool name = false, properties = false, metadata = false;
    while (in_.next()) {
      if (in_.name() == "Name") {
        entry.encoded = in_.attributes() == R"( Encoded="true")";
        if (std::exchange(name, true) || (!entry.encoded && !in_.attributes().empty())) return false;
        entry.name = in_.text(name_scratch_);
      } else if (in_.name() == "Properties") {
        if (std::exchange(properties, true)) return false;
        readProperties(entry);
      } else if (in_.name() == "Metadata") {
        if (std::exchange(metadata, true)) return false;
        readMetadata(entry);
      } else {
        in_.skip();
      }
    }
    return name;
  }

  void readProperties(Entry& entry) {
    while (in_.next()) {
      const Property property = propertyOf(in_.name());
      if (property == kUnused)
        in_.skip();
      else
        entry.properties[property] = in_.text(scratch_[property]);
    }
  }

  void readMetadata(Entry& entry) {
    while (in_.next()) {
      if (!tellsFolder(in_.name()))
        in_.skip();
      else if (sameLetters(in_.text(other_scratch_), "true"))
        entry.folder = true;
    }
  }

  PlainXml in_;
  Builder& builder_;
  std::array<std::string, kUnused> scratch_;
  std::string name_scratch_, other_scratch_;
};

// ---- any XML ----

Result<Entry> entryOf(const pugi::xml_node& element) {
  const pugi::xml_node name = element.child("Name");
  if (!name) return corrupt("an entry without a name");
  Entry entry{.name = name.child_value(),
              .properties = {},
              .encoded = std::string_view(name.attribute("Encoded").value()) == "true"};
  for (const pugi::xml_node& property : element.child("Properties").children())
    if (const Property known = propertyOf(property.name()); known != kUnused)
      entry.properties[known] = property.child_value();
  for (const pugi::xml_node& metadata : element.child("Metadata").children())
    if (tellsFolder(metadata.name()) && sameLetters(metadata.child_value(), "true")) entry.folder = true;
  return entry;
}

}  // namespace

std::optional<ListPage> readPlainAzureList(std::string_view xml, std::string_view prefix) {
  Builder builder(prefix, xml.size());
  if (!PlainReader(xml, builder).read()) return std::nullopt;
  return std::move(builder.page);
}

Result<ListPage> readAzureListTree(std::string_view xml, std::string_view prefix) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size(), kParse);
  if (!parsed) return corrupt(fmt::format("{} at byte {}", parsed.description(), parsed.offset));
  const pugi::xml_node results = document.child("EnumerationResults");
  if (!results || !results.child("Blobs")) return corrupt("it is no EnumerationResults");
  Builder builder(prefix, xml.size());
  for (const pugi::xml_node& element : results.child("Blobs").children()) {
    const std::string_view kind = element.name();
    if (kind != "Blob" && kind != "BlobPrefix") continue;
    const Entry entry = TRY(entryOf(element));
    TRY(kind == "Blob" ? builder.addBlob(entry) : builder.addPrefix(entry));
  }
  builder.page.next = results.child_value("NextMarker");
  return std::move(builder.page);
}

Result<ListPage> parseAzureList(std::string_view xml, std::string_view prefix, std::string_view marker) {
  std::optional<ListPage> plain = readPlainAzureList(xml, prefix);
  ListPage page = plain ? std::move(*plain) : TRY(readAzureListTree(xml, prefix));
  if (!page.next.empty() && page.next == marker) return corrupt("its next page is itself");
  return page;
}

}  // namespace forebay::origin
