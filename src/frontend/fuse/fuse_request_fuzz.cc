// Whatever is read from /dev/fuse: parsed, and every field that a session would use is touched.
#include <cstdlib>

#include "frontend/fuse/protocol.h"

using namespace forebay;
using namespace forebay::fuse;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
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
                        [](const InitRequest& init) { (void)negotiate(init, {.readahead = 1, .max_background = 1}); },
                        [](const GetXattrRequest& get) {
                          if (get.name.contains('\0')) std::abort();
                        },
                        [](const auto&) {}},
             request->body);
  return 0;
}
