#include "origin/dialect.h"

#include <fmt/format.h>
#include <pugixml.hpp>

namespace forebay::origin {

std::string cleanErrorCode(std::string_view code) {
  if (code.empty() || code.size() > 64) return {};
  for (const char c : code)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) return {};
  return std::string(code);
}

std::string xmlErrorCode(std::string_view body) {
  pugi::xml_document document;
  if (!document.load_buffer(body.data(), body.size())) return {};
  return cleanErrorCode(document.child("Error").child_value("Code"));
}

std::string plainTextOf(std::string_view xml, std::string_view element) {
  const std::string before = fmt::format("<{}>", element), after = fmt::format("</{}>", element);
  constexpr std::size_t kEnds = 4 * kKiB;
  std::size_t start = xml.substr(0, kEnds).find(before);
  if (start == std::string_view::npos && xml.size() > kEnds) {
    start = xml.substr(xml.size() - kEnds).find(before);
    if (start != std::string_view::npos) start += xml.size() - kEnds;
  }
  if (start == std::string_view::npos) return {};
  const std::string_view rest = xml.substr(start + before.size());
  const std::string_view text = rest.substr(0, rest.find(after));
  if (text.size() == rest.size() || text.find_first_of("<&\r\n") != std::string_view::npos) return {};
  return std::string(text);
}

}  // namespace forebay::origin
