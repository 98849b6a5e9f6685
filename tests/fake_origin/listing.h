// One page of a listing, as both dialects need it: names after a prefix, cut at a delimiter, from a marker on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fake_origin/objects.h"

namespace forebay::fake {

struct ListRequest {
  std::string prefix;
  std::string delimiter;  // empty: no grouping
  std::string start;      // the first name that may come (inclusive)
  std::uint64_t max = 0;
};
struct ListItem {
  std::string name;                // of an object, or a common prefix with its delimiter
  const Object* object = nullptr;  // nullptr: a common prefix
};
struct ListResult {
  std::vector<ListItem> items;
  std::optional<std::string> next;  // where the following page starts; nullopt: this was the last one
};
// Cost: O(items · log objects): a common prefix is skipped at once, however many names it has below it.
ListResult listObjects(const Objects& objects, const ListRequest& request);

// The smallest name after every name that starts with `prefix`; empty: there is none.
std::string afterPrefix(std::string_view prefix);

// Markers are opaque to clients, and not names, so that nobody comes to rely on their form. `after_empty`: an empty
// page was given for this place already (see Settings::empty_pages).
struct Marker {
  std::string start;
  bool after_empty = false;
};
std::string encodeMarker(const Marker& marker);
std::optional<Marker> decodeMarker(std::string_view text);

}  // namespace forebay::fake
