#include "fake_origin/listing.h"

#include <algorithm>

namespace forebay::fake {

std::string afterPrefix(std::string_view prefix) {
  std::string next(prefix);
  while (!next.empty() && static_cast<unsigned char>(next.back()) == 0xff) next.pop_back();
  if (!next.empty()) next.back() = static_cast<char>(static_cast<unsigned char>(next.back()) + 1);
  return next;
}

ListResult listObjects(const Objects& objects, const ListRequest& request) {
  ListResult result;
  auto at = objects.lower_bound(std::max(request.prefix, request.start));
  while (at != objects.end() && at->first.starts_with(request.prefix)) {
    if (result.items.size() == request.max) {
      result.next = at->first;
      return result;
    }
    const std::size_t cut =
        request.delimiter.empty() ? std::string::npos : at->first.find(request.delimiter, request.prefix.size());
    if (cut == std::string::npos) {
      result.items.push_back({.name = at->first, .object = &at->second});
      ++at;
      continue;
    }
    std::string group = at->first.substr(0, cut + request.delimiter.size());
    const std::string after = afterPrefix(group);
    result.items.push_back({.name = std::move(group), .object = nullptr});
    at = after.empty() ? objects.end() : objects.lower_bound(after);
  }
  return result;
}

std::string encodeMarker(const Marker& marker) {
  return base64((marker.after_empty ? "e" : "n") + marker.start);
}

std::optional<Marker> decodeMarker(std::string_view text) {
  const auto plain = unbase64(text);
  if (!plain || plain->empty() || (plain->front() != 'e' && plain->front() != 'n')) return std::nullopt;
  return Marker{.start = plain->substr(1), .after_empty = plain->front() == 'e'};
}

}  // namespace forebay::fake
