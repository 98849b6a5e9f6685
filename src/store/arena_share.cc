// Slabs that clients of this machine read in place: as a file, by place and generation, and pinned.
#include <fmt/format.h>

#include "store/arena_impl.h"

namespace forebay::store {
namespace {

// A client's pin: it counts with its unit as long as any of them lives.
struct ClientPin {
  ClientPin(std::uint64_t& pinned, detail::Unit& of, View shown)
      : pinned_bytes(pinned), unit(of), view(std::move(shown)) {
    if (unit.client_pins++ == 0) pinned_bytes += unit.charge + unit.passing_charge;
  }
  ~ClientPin() {
    if (--unit.client_pins == 0) pinned_bytes -= unit.charge + unit.passing_charge;
  }
  ClientPin(const ClientPin&) = delete;
  ClientPin& operator=(const ClientPin&) = delete;

  std::uint64_t& pinned_bytes;
  detail::Unit& unit;
  View view;  // goes last: the unit may go with it
};

}  // namespace

std::uint64_t Arena::slabId() const {
  return options_.max_pinned_percent == 0 ? 0 : impl_->slab->id();
}

Result<SlabFile> Arena::exportSlab() const {
  if (slabId() == 0)
    return fail(Code::Unsupported, impl_->slab->shared() ? "node.max_pinned is 0" : "no slabs to map here: " + note_);
  SlabFile given;
  given.file = TRY(impl_->slab->openForOthers(options_.directory->read_only.get()));
  given.id = impl_->slab->id();
  given.page_bytes = impl_->slab->pageBytes();
  return given;
}

std::optional<SlabPlace> Arena::placeOf(const Piece& piece) const {
  if (slabId() == 0 || piece.fd != impl_->slab->fd()) return std::nullopt;
  return SlabPlace{.offset = piece.file_offset, .generation = impl_->slab->generationAt(piece.file_offset)};
}

Result<std::shared_ptr<const void>> Arena::pinForClient(View view) {
  if (view.unit_ == nullptr) return fail(Code::InvalidArgument, "nothing to pin");
  detail::Unit& unit = *view.unit_;
  const std::uint64_t most = options_.capacity_bytes / 100 * options_.max_pinned_percent;
  const std::uint64_t more = unit.client_pins == 0 ? unit.charge + unit.passing_charge : 0;
  if (impl_->client_pinned_bytes + more > most)
    return fail(Code::Busy,
                fmt::format("clients may pin {} bytes of the arena: there is no room for {} more", most, more));
  auto pin = std::make_shared<ClientPin>(impl_->client_pinned_bytes, unit, std::move(view));
  impl_->updateMetrics();
  return pin;
}

}  // namespace forebay::store
