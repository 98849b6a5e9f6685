// Any bytes as ReadData: what is accepted can be looked at, verified against, and comes back the same after encoding.
#include <cstdlib>

#include "wire/frame.h"
#include "wire/read.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay;
  if (size < 20 || size > wire::kMaxBody) return 0;
  const Bytes body = std::as_bytes(std::span(data, size));
  const auto view = wire::ReadDataView::parse(body, loadLe<std::uint32_t>(body.data() + 16));
  if (!view) return 0;
  std::vector<std::uint32_t> checksums, peers;
  for (std::size_t i = 0; i < view->checksums(); ++i) checksums.push_back(view->checksum(i));
  for (std::size_t i = 0; i < view->peers(); ++i) peers.push_back(view->peer(i));
  static_cast<void>(view->error());
  static_cast<void>(wire::outcomeName(view->head().outcome));

  wire::PieceVerifier verifier;
  verifier.start(*view);
  for (std::size_t fed = 0; fed < view->head().length; fed += size)
    verifier.feed(body.first(std::min<std::size_t>(size, view->head().length - fed)));

  std::vector<std::byte> bytes;
  if (!wire::encodeReadData(view->head(), {.checksums = checksums, .peers = peers, .message = view->message()}, bytes))
    std::abort();
  const auto again = wire::ReadDataView::parse(bytes, view->head().length);
  if (!again || again->head() != view->head() || again->message() != view->message()) std::abort();
  return 0;
}
