#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "node/directory_view.h"

// A cursor comes back from clients: whatever it is, decoding ends, and what it accepts it writes the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto cursor = forebay::node::ViewCursor::decode(text);
  if (cursor && !text.empty() && cursor->encode() != text) std::abort();
  return 0;
}
