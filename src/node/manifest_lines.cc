// How a manifest's lines are written and read. Pure.
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/hash.h"
#include "node/manifest.h"
#include "origin/encoding.h"
#include "wire/read.h"

namespace forebay::node {
namespace {

constexpr std::string_view kMagic = "forebay-manifest", kFormat = "1", kEnd = "end";
constexpr std::size_t kMaxText = 4 * kKiB;  // of a URL
constexpr std::size_t kMd5Digits = 32;

bool mustBeEncoded(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7f || c == '%';
}

std::string encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (!mustBeEncoded(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4];
    encoded += kDigits[byte & 15];
  }
  return encoded;
}

// Nothing for what encode() doesn't write: two texts never stand for the same name.
std::optional<std::string> decode(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (mustBeEncoded(text[i])) return std::nullopt;
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = digit(text[i + 1]), low = digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    const char c = static_cast<char>(high * 16 + low);
    if (!mustBeEncoded(c)) return std::nullopt;
    decoded += c;
    i += 2;
  }
  return decoded;
}

// A number as it is written: no zeros in front.
std::optional<std::uint64_t> number(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return origin::parseNumber(text);
}

std::optional<std::int64_t> signedNumber(std::string_view text) {
  const bool negative = text.starts_with('-');
  const auto value = number(negative ? text.substr(1) : text);
  const auto most = static_cast<std::uint64_t>(INT64_MAX);
  if (!value || *value > most || (negative && *value == 0)) return std::nullopt;
  const auto positive = static_cast<std::int64_t>(*value);
  return negative ? -positive : positive;
}

bool isChecksum(std::string_view text) {
  constexpr std::string_view kMd5 = "md5:";
  return text.starts_with(kMd5) && text.size() == kMd5.size() + kMd5Digits &&
         std::ranges::all_of(text.substr(kMd5.size()),
                             [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Whether there are exactly as many fields as asked.
template <std::size_t N>
bool split(std::string_view line, std::array<std::string_view, N>& fields) {
  for (std::size_t i = 0; i < N; ++i) {
    const std::size_t tab = line.find('\t');
    if ((tab == std::string_view::npos) != (i + 1 == N)) return false;
    fields[i] = line.substr(0, tab);
    line.remove_prefix(tab == std::string_view::npos ? line.size() : tab + 1);
  }
  return true;
}

std::unexpected<Error> corrupt(std::string why) {
  return fail(Code::Corrupt, std::move(why));
}

// Of an object that comes from outside, in the file or from a listing.
Status check(const ManifestEntry& entry) {
  if (entry.path.empty() || entry.path.size() > wire::kMaxPath)
    return corrupt(fmt::format("a name of {} bytes: there must be 1 to {}", entry.path.size(), wire::kMaxPath));
  if (entry.version.empty() || entry.version.size() > wire::kMaxVersionText)
    return corrupt(
        fmt::format("a version of {} bytes: there must be 1 to {}", entry.version.size(), wire::kMaxVersionText));
  if (entry.size > wire::kMaxObjectSize) return corrupt(fmt::format("a size of {} bytes can't be", entry.size));
  if (!entry.checksum.empty() && !isChecksum(entry.checksum)) return corrupt("a checksum that is no md5:HEX");
  return {};
}

}  // namespace

std::string manifestLine(const ManifestEntry& entry) {
  return fmt::format("{}\t{}\t{}\t{}\t{}", encode(entry.path), entry.size, encode(entry.version), entry.mtime_ns,
                     entry.checksum.empty() ? "-" : entry.checksum);
}

Result<ManifestEntry> parseManifestLine(std::string_view line) {
  std::array<std::string_view, 5> fields;
  if (!split(line, fields)) return corrupt("an object has five fields: path, size, version, time and checksum");
  auto path = decode(fields[0]);
  auto version = decode(fields[2]);
  if (!path || !version) return corrupt("a text that isn't percent-encoded as a manifest's are");
  const auto size = number(fields[1]);
  const auto mtime = signedNumber(fields[3]);
  if (!size || !mtime) return corrupt("a size or a time that is no number");
  ManifestEntry entry{.path = std::move(*path),
                      .size = *size,
                      .version = std::move(*version),
                      .mtime_ns = *mtime,
                      .checksum = fields[4] == "-" ? std::string() : std::string(fields[4])};
  if (fields[4].empty()) return corrupt("an empty checksum: none is written as -");
  TRY(check(entry));
  return entry;
}

// ---- writing ----

Result<ManifestWriter> ManifestWriter::begin(Sink sink, std::string_view url, std::string_view made) {
  ManifestWriter writer(std::move(sink), TRY(Hasher::create(Hasher::Kind::Sha256)));
  writer.sink_(fmt::format("{}\t{}\t{}\t{}\n", kMagic, kFormat, encode(url), encode(made)));
  return writer;
}

Status ManifestWriter::add(const ManifestEntry& entry) {
  if (Status good = check(entry); !good)
    return fail(Code::InvalidArgument, fmt::format("{}: {}", origin::shown(entry.path), good.error().message));
  if (count_ > 0 && entry.path <= last_)
    return fail(Code::InvalidArgument, fmt::format("{} is listed after {}: the origin doesn't list in order",
                                                   origin::shown(entry.path), origin::shown(last_)));
  const std::string line = manifestLine(entry) + '\n';
  hasher_.update(line);
  sink_(line);
  last_ = entry.path;
  ++count_;
  bytes_ += entry.size;
  return {};
}

std::string ManifestWriter::finish() {
  const std::string digest = "sha256:" + hex(hasher_.finish());
  sink_(fmt::format("{}\t{}\t{}\n", kEnd, count_, digest));
  return digest;
}

// ---- reading ----

Result<ManifestParser> ManifestParser::create(EntrySink sink) {
  return ManifestParser(std::move(sink), TRY(Hasher::create(Hasher::Kind::Sha256)));
}

std::unexpected<Error> ManifestParser::wrong(std::string_view why) const {
  return fail(Code::Corrupt, fmt::format("line {}: {}", line_, why));
}

Status ManifestParser::take(Bytes bytes) {
  std::string_view text = textOf(bytes);
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view part = text.substr(0, end);
    if (partial_.size() + part.size() >= kMaxManifestLine) {
      ++line_;
      return wrong(fmt::format("it is longer than the {} bytes that a line may have", kMaxManifestLine));
    }
    if (end == std::string_view::npos) {
      partial_ += part;
      return {};
    }
    if (partial_.empty()) {
      TRY(line(part));
    } else {
      partial_ += part;
      TRY(line(partial_));
      partial_.clear();
    }
    text.remove_prefix(end + 1);
  }
  return {};
}

Status ManifestParser::line(std::string_view line) {
  ++line_;
  const std::uint64_t offset = std::exchange(offset_, offset_ + line.size() + 1);
  if (ended_) return wrong("it stands behind the last line: the file was edited, or two were joined");
  if (line_ == 1) return first(line);
  if (line.starts_with(kEnd) && std::ranges::count(line, '\t') == 2) return last(line);
  auto entry = parseManifestLine(line);
  if (!entry) return wrong(entry.error().message);
  if (count_ > 0 && entry->path <= last_path_)
    return wrong(fmt::format("{} stands behind {}: the file was edited, or sorted", origin::shown(entry->path),
                             origin::shown(last_path_)));
  hasher_.update(line);
  hasher_.update("\n");
  ++count_;
  bytes_ += entry->size;
  sink_(*entry, line, offset);
  last_path_ = std::move(entry->path);
  return {};
}

Status ManifestParser::first(std::string_view line) {
  std::array<std::string_view, 4> fields;
  if (!line.starts_with(kMagic)) return wrong("it is no manifest: `forebay freeze MOUNT` writes one");
  if (!split(line, fields) || fields[0] != kMagic) return wrong("the first line isn't one of a manifest");
  if (fields[1] != kFormat)
    return wrong(fmt::format("format {}: this version of Forebay reads format {}", origin::shown(fields[1]), kFormat));
  const auto url = decode(fields[2]), made = decode(fields[3]);
  if (!url || !made || url->size() > kMaxText) return wrong("the first line isn't one of a manifest");
  url_ = *url;
  made_ = *made;
  return {};
}

Status ManifestParser::last(std::string_view line) {
  std::array<std::string_view, 3> fields;
  const auto count = split(line, fields) ? number(fields[1]) : std::nullopt;
  if (!count || fields[0] != kEnd) return wrong("the last line isn't one of a manifest");
  if (*count != count_)
    return wrong(
        fmt::format("{} objects are listed, {} were written: lines are missing or were added", count_, *count));
  digest_ = "sha256:" + hex(hasher_.finish());
  if (fields[2] != digest_)
    return wrong(fmt::format("its digest is {}, that of the lines is {}: the file was edited", origin::shown(fields[2]),
                             digest_));
  ended_ = true;
  return {};
}

Status ManifestParser::finish() {
  if (ended_ && partial_.empty()) return {};
  ++line_;
  if (ended_) return wrong("it stands behind the last line");
  if (line_ == 1 && partial_.empty()) return wrong("the file is empty");
  return wrong("the file ends here, without the last line: it was cut, or `forebay freeze` failed");
}

}  // namespace forebay::node
