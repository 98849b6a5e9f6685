// Any bytes as the state of a partial file: refused, or equal to itself when written again.
#include "cli/part_state.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const auto state = cli::PartState::decode(bytes);
  if (!state) return 0;
  if (state->presentBytes() > state->size) std::abort();
  const auto again = cli::PartState::decode(state->encode());
  if (!again || !again->sameObject(*state) || again->present != state->present) std::abort();
  return 0;
}
