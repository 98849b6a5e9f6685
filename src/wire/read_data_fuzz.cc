// Any bytes as ReadData: what is accepted can be looked at, verified against, and comes back the same after encoding.
#include <cstdlib>

#include "wire/frame.h"
#include "wire/read.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay;
  if (size < 20 || size > wire::kMaxBody) return 0;
  const Bytes body = std::as_bytes(std::span(data, size));
  const bool in_places = (static_cast<std::uint8_t>(body[3]) & wire::kPlaces) != 0;
  const auto view = wire::ReadDataView::parse(body, in_places ? 0 : loadLe<std::uint32_t>(body.data() + 16));
  if (!view) return 0;
  std::vector<std::uint32_t> checksums, peers;
  for (std::size_t i = 0; i < view->checksums(); ++i) checksums.push_back(view->checksum(i));
  for (std::size_t i = 0; i < view->peers(); ++i) peers.push_back(view->peer(i));
  static_cast<void>(view->error());
  static_cast<void>(wire::outcomeName(view->head().outcome));

  std::vector<wire::Place> places;
  std::uint64_t placed = 0;
  for (std::size_t i = 0; i < view->places(); ++i) {
    places.push_back(view->place(i));
    placed += places.back().length;
  }
  if (in_places != !places.empty() || (in_places && placed != view->head().length)) std::abort();

  wire::PieceVerifier verifier;
  if (!in_places) verifier.start(*view);
  for (std::size_t fed = 0; fed < view->head().length; fed += size)
    verifier.feed(body.first(std::min<std::size_t>(size, view->head().length - fed)));

  std::vector<std::byte> bytes;
  const wire::ReadDataLists lists{
      .checksums = checksums, .peers = peers, .message = view->message(), .places = places, .slab = view->slab()};
  if (!wire::encodeReadData(view->head(), lists, bytes)) std::abort();
  const auto again = wire::ReadDataView::parse(bytes, in_places ? 0 : view->head().length);
  if (!again || again->places() != places.size() || again->slab() != view->slab()) std::abort();
  for (std::size_t i = 0; i < places.size(); ++i)
    if (again->place(i) != places[i]) std::abort();
  if (again->head() != view->head() || again->message() != view->message()) std::abort();
  return 0;
}
