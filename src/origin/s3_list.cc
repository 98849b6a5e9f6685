#include "origin/s3_list.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <pugixml.hpp>
#include <utility>

#include "origin/dialect.h"
#include "origin/encoding.h"
#include "origin/plain_xml.h"

namespace forebay::origin {
namespace {

constexpr unsigned kParse = pugi::parse_default | pugi::parse_ws_pcdata_single;  // a key may be spaces alone

std::unexpected<Error> corrupt(const std::string& why) {
  return fail(Code::Corrupt, "the list that the origin sent can't be right: " + why);
}

// What a page has at most, and about what one costs: room for nearly all is made at once.
constexpr std::size_t kMostEntries = 1'000, kLeastBytes = 200;

// Of an object or a common prefix, as text.
enum Field : std::uint8_t { kKey, kSize, kEtag, kModified, kPrefix, kUnused };
using Fields = std::array<std::string_view, kUnused>;
constexpr std::array<const char*, kUnused> kFieldNames = {"Key", "Size", "ETag", "LastModified", "Prefix"};

Field fieldOf(std::string_view name) {
  std::size_t field = 0;
  while (field != kUnused && name != kFieldNames[field]) ++field;
  return static_cast<Field>(field);
}

// Of the whole answer.
enum About : std::uint8_t { kEncoding, kTruncated, kNext, kOther };
constexpr std::array<const char*, kOther> kAboutNames = {"EncodingType", "IsTruncated", "NextContinuationToken"};
using Abouts = std::array<std::string, kOther>;

class Builder {
 public:
  Builder(std::string_view prefix, bool encoded, std::size_t xml_bytes) : prefix_(prefix), encoded_(encoded) {
    page_.entries.reserve(std::min(kMostEntries, xml_bytes / kLeastBytes));
  }

  Status addObject(const Fields& fields) {
    std::string name = TRY(below(fields[kKey]));
    const auto size = parseNumber(fields[kSize]);
    std::string etag = bareEtag(fields[kEtag]);
    if (!size || etag.empty()) return corrupt(fmt::format("{} has no size or no ETag", shown(name)));
    if (name.empty() && *size == 0) return {};  // "dir/": the marker that some tools leave for a directory
    const std::int64_t mtime = parseIsoTime(fields[kModified]).value_or(0);
    page_.entries.push_back({.name = std::move(name),
                             .directory = false,
                             .info = {.size = *size, .version = std::move(etag), .mtime_ns = mtime}});
    return {};
  }

  Status addPrefix(const Fields& fields) {
    std::string name = TRY(below(fields[kPrefix]));
    if (!name.ends_with('/')) return corrupt(fmt::format("the prefix {} doesn't end with '/'", shown(name)));
    name.pop_back();
    page_.entries.push_back({.name = std::move(name), .directory = true, .info = {}});
    return {};
  }

  Result<ListPage> page(std::string_view truncated, std::string next) {
    if (truncated != "true") return std::move(page_);
    if (next.empty()) return corrupt("it goes on, but doesn't say where");
    page_.next = std::move(next);
    return std::move(page_);
  }

 private:
  Result<std::string> below(std::string_view name) const {
    std::string decoded;
    if (encoded_) {
      Result<std::string> plain = percentDecode(name, Plus::IsSpace);
      if (!plain) return corrupt(plain.error().message);
      decoded = std::move(*plain);
      name = decoded;
    }
    if (!name.starts_with(prefix_)) return corrupt(fmt::format("{} isn't below what was listed", shown(name)));
    return std::string(name.substr(prefix_.size()));
  }

  std::string_view prefix_;
  bool encoded_;
  ListPage page_;
};

bool isEncoded(std::string_view encoding) {
  return encoding == "url";
}

// ---- plain XML, as services write it ----

class PlainReader {
 public:
  PlainReader(std::string_view xml, Builder& builder) : in_(xml), builder_(builder) {}

  // False: it isn't plain, or isn't such a list; the tree tells.
  bool read(Abouts& abouts) {
    if (!in_.next() || in_.name() != "ListBucketResult") return false;
    std::array<bool, kOther> seen{};
    while (in_.next()) {
      const bool object = in_.name() == "Contents";
      if (object || in_.name() == "CommonPrefixes") {
        Fields fields;
        if (!readFields(fields, object ? kKey : kPrefix)) return false;
        if (!(object ? builder_.addObject(fields) : builder_.addPrefix(fields))) return false;
        continue;
      }
      std::size_t about = 0;
      while (about != kOther && in_.name() != kAboutNames[about]) ++about;
      if (about == kOther) {
        in_.skip();
      } else {
        if (std::exchange(seen[about], true)) return false;
        abouts[about] = in_.text(scratch_[0]);
      }
    }
    return in_.ended();
  }

 private:
  bool readFields(Fields& fields, Field needed) {
    std::array<bool, kUnused + 1> seen{};
    while (in_.next()) {
      const Field field = fieldOf(in_.name());
      if (field == kUnused) {
        in_.skip();
      } else {
        if (std::exchange(seen[field], true)) return false;
        fields[field] = in_.text(scratch_[field]);
      }
    }
    return seen[needed];
  }

  PlainXml in_;
  Builder& builder_;
  std::array<std::string, kUnused> scratch_;
};

}  // namespace

// Some services say at the end how their keys are written.
std::optional<ListPage> readPlainS3List(std::string_view xml, std::string_view prefix) {
  const bool encoded = isEncoded(plainTextOf(xml, kAboutNames[kEncoding]));
  Builder builder(prefix, encoded, xml.size());
  Abouts abouts;
  if (!PlainReader(xml, builder).read(abouts) || isEncoded(abouts[kEncoding]) != encoded) return std::nullopt;
  auto page = builder.page(abouts[kTruncated], std::move(abouts[kNext]));
  if (!page) return std::nullopt;
  return std::move(*page);
}

// ---- any XML ----

Result<ListPage> readS3ListTree(std::string_view xml, std::string_view prefix) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size(), kParse);
  if (!parsed) return corrupt(fmt::format("{} at byte {}", parsed.description(), parsed.offset));
  const pugi::xml_node results = document.child("ListBucketResult");
  if (!results) return corrupt("it is no ListBucketResult");
  Builder builder(prefix, isEncoded(results.child_value(kAboutNames[kEncoding])), xml.size());
  for (const pugi::xml_node& element : results.children()) {
    const std::string_view kind = element.name();
    if (kind != "Contents" && kind != "CommonPrefixes") continue;
    Fields fields;
    for (std::size_t field = 0; field != kUnused; ++field) fields[field] = element.child_value(kFieldNames[field]);
    TRY(kind == "Contents" ? builder.addObject(fields) : builder.addPrefix(fields));
  }
  return builder.page(results.child_value(kAboutNames[kTruncated]), results.child_value(kAboutNames[kNext]));
}

Result<ListPage> parseS3List(std::string_view xml, std::string_view prefix, std::string_view token) {
  std::optional<ListPage> plain = readPlainS3List(xml, prefix);
  ListPage page = plain ? std::move(*plain) : TRY(readS3ListTree(xml, prefix));
  if (!page.next.empty() && page.next == token) return corrupt("its next page is itself");
  return page;
}

}  // namespace forebay::origin
