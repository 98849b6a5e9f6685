#include "origin/dialect.h"

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

}  // namespace forebay::origin
