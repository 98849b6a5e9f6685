// Whatever is read from /dev/fuse, or comes in a ring: parsed, and every field that a session would use is touched.
#include <array>
#include <cstdlib>
#include <cstring>

#include "frontend/fuse/protocol.h"

using namespace forebay;
using namespace forebay::fuse;

namespace {

// The same bytes as a place of a ring might hold them.
void joinedFromRing(Bytes bytes) {
  RingHeader header;
  if (bytes.size() < sizeof header) return;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::array<std::byte, 4096> into{};
  const auto joined = joinRequest(header, bytes.subspan(sizeof header), into);
  if (joined && joined->size() > into.size()) std::abort();
  if (joined) (void)parseRequest(*joined);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  joinedFromRing(bytes);
  const auto header = parseHeader(bytes);
  const auto request = parseRequest(bytes);
  if (!request) return 0;
  if (!header || header->unique != request->header.unique || header->unique == 0) std::abort();
  std::visit(Overloaded{[](const LookupRequest& lookup) {
                          if (lookup.name.find_first_of(std::string_view("/\0", 2)) != std::string_view::npos)
                            std::abort();
                        },
                        [](const ReadRequest& read) {
                          if (read.size > kMaxRead || read.offset > INT64_MAX) std::abort();
                        },
                        [](const ReadDirRequest& read) {
                          if (read.size > kMaxRead) std::abort();
                        },
                        [&](const BatchForgetRequest& forget) {
                          std::uint64_t sum = 0;
                          for (std::size_t i = 0; i < forget.count(); ++i) sum += forget.at(i).nlookup;
                          if (forget.count() * sizeof(fuse_forget_one) > size) std::abort();
                          (void)sum;
                        },
                        [](const InitRequest& init) {
                          (void)negotiate(init, {.readahead = 1, .max_background = 1, .ring_payload = 4096});
                        },
                        [](const GetXattrRequest& get) {
                          if (get.name.contains('\0')) std::abort();
                        },
                        [](const auto&) {}},
             request->body);
  return 0;
}
