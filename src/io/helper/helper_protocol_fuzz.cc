// Any bytes, with any number of descriptors beside them, as a question to the helper and as its answer: refused, or
// equal to themselves when written again.
#include <algorithm>
#include <cstdlib>
#include <span>

#include "io/helper/protocol.h"

using namespace forebay;
using namespace forebay::io::helper;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t descriptors = data[0] % 4;
  const Bytes message = std::as_bytes(std::span(data + 1, size - 1));
  if (const auto request = parseRequest(message, descriptors)) {
    const Message again = encode(*request);
    if (!std::ranges::equal(again.view(), message)) std::abort();
    if (request->text.size() > kMaxText || descriptors > kMaxDescriptors) std::abort();
  }
  for (const Operation asked : {Operation::Hello, Operation::MemoryDirectory, Operation::MountFuse,
                                Operation::UnmountFuse, Operation::OpenBacking, Operation::CloseBacking}) {
    const auto reply = parseReply(message, asked, descriptors);
    if (reply && !std::ranges::equal(encode(*reply).view(), message)) std::abort();
  }
  return 0;
}
