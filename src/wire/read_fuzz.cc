// Any bytes as Read: what is accepted has every range inside its chunk, and comes back the same after encoding.
#include <cstdlib>

#include "wire/frame.h"
#include "wire/read.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay;
  if (size > wire::kMaxBody) return 0;
  const auto view = wire::ReadView::parse(std::as_bytes(std::span(data, size)));
  if (!view) return 0;
  std::vector<wire::ReadObject> objects;
  std::vector<wire::ReadItem> items;
  std::size_t strings = 0;
  for (std::size_t i = 0; i < view->objects(); ++i) {
    objects.push_back(view->object(i));
    strings += objects.back().path.size() + objects.back().version.size();
  }
  for (std::size_t i = 0; i < view->items(); ++i) {
    items.push_back(view->item(i));
    const wire::ReadItem& item = items.back();
    const std::uint64_t end = std::uint64_t{item.range.offset} + item.range.length;
    if (item.range.length == 0 || end > objects.at(item.object).chunkLength(item.range.chunk)) std::abort();
  }
  std::vector<std::byte> bytes;
  const Status done = wire::encodeRead(objects, items, bytes, view->slab());
  if (!done) {
    if (strings < wire::kMaxBody / 2) std::abort();  // strings may overlap in what came, and not in what we make
    return 0;
  }
  const auto again = wire::ReadView::parse(bytes);
  if (!again || again->slab() != view->slab() || again->objects() != objects.size() || again->items() != items.size())
    std::abort();
  for (std::size_t i = 0; i < objects.size(); ++i)
    if (again->object(i) != objects[i]) std::abort();
  for (std::size_t i = 0; i < items.size(); ++i)
    if (again->item(i) != items[i]) std::abort();
  return 0;
}
