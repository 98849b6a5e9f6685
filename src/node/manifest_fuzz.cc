#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "node/manifest.h"

// Any bytes as a manifest, in one piece and in many: the same answer, and what is accepted is written the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  std::string again;
  std::vector<node::ManifestEntry> entries;
  auto whole =
      node::ManifestParser::create([&](const node::ManifestEntry& entry, std::string_view line, std::uint64_t) {
        if (node::manifestLine(entry) != line) std::abort();
        entries.push_back(entry);
      });
  Status parsed = whole->take(bytes);
  if (parsed) parsed = whole->finish();

  auto pieces = node::ManifestParser::create([](const auto&, std::string_view, std::uint64_t) {});
  Status second;
  const std::size_t step = 1 + size % 7;
  for (std::size_t at = 0; at < size && second; at += step)
    second = pieces->take(bytes.subspan(at, std::min(step, size - at)));
  if (second) second = pieces->finish();
  if (parsed.has_value() != second.has_value()) std::abort();
  if (!parsed) return 0;

  auto writer = node::ManifestWriter::begin([&](std::string_view text) { again += text; }, whole->url(), whole->made());
  for (const auto& entry : entries)
    if (!writer->add(entry)) std::abort();
  if (writer->finish() != whole->digest() || bytesOf(again).size() != size || again != textOf(bytes)) std::abort();
  return 0;
}
