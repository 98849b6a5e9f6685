// What mounts are called.
#include <algorithm>
#include <fmt/format.h>

#include "base/hash.h"
#include "node/config.h"

namespace forebay::node {
namespace {

std::string_view withoutSlashes(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

}  // namespace

bool isMountName(std::string_view name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 63 && alphanumeric(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

std::string mountNameOf(const origin::OriginUrl& url) {
  const std::string whole = url.text();
  const std::string_view body = withoutSlashes(std::string_view(whole).substr(whole.find("://") + 3));
  std::string name;
  bool exact = true;  // but for '/' and '-', which both become '-': who mounts two such URLs has to name one
  for (char c : body) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
    exact = exact && (kept || c == '/' || c == '-');
    name += kept ? c : '-';
  }
  name.erase(0, std::min(name.find_first_not_of("-._"), name.size()));
  constexpr std::size_t kLongest = 50;  // leaves room for the hash
  if (!exact || name.size() > kLongest || name.empty()) {
    name = fmt::format("{}{}{:08x}", name.substr(0, kLongest), name.empty() ? "" : "-", hash64(whole) >> 32);
  }
  return name;
}

}  // namespace forebay::node
