#include "client/node_view.h"

#include <algorithm>
#include <fmt/format.h>
#include <new>
#include <utility>

namespace forebay::client {
namespace {

// Gives its pin back at its end.
struct Pinned {
  Pinned(std::shared_ptr<SlabLink> to, PinnedBytes held) : slabs(std::move(to)), pinned(std::move(held)) {}
  ~Pinned() { slabs->unpin(pinned.pin); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  const std::shared_ptr<SlabLink> slabs;
  const PinnedBytes pinned;
};

std::uint64_t cutAt(const core::Plan& plan, std::uint64_t offset, std::uint64_t length) {
  return offset >= plan.size ? 0 : std::min(length, plan.size - offset);
}

}  // namespace

Result<std::shared_ptr<std::byte[]>> memoryFor(std::uint64_t bytes) {
  std::shared_ptr<std::byte[]> memory(new (std::nothrow) std::byte[bytes]);
  if (memory == nullptr) return fail(Code::Busy, fmt::format("this process has no memory for {} bytes", bytes));
  return memory;
}

// The way without a node beside it: a copy.
void CellReader::view(const core::Plan& plan, std::uint64_t offset, std::uint64_t length, TimePoint deadline,
                      Callback<BytesView> done, CallId call) {
  length = cutAt(plan, offset, length);
  auto memory = memoryFor(length);
  if (!memory) return post([done = std::move(done), error = memory.error()]() mutable { done(fail(error)); });
  std::vector<BatchItem> items;
  items.push_back({.plan = std::make_shared<const core::Plan>(plan),
                   .offset = offset,
                   .length = length,
                   .into = {MutableBytes(memory->get(), length)}});
  readBatch(
      std::move(items), false, deadline,
      [memory = std::move(*memory), length, done = std::move(done)](BatchResults results) mutable {
        if (!results[0]) return done(fail(results[0].error()));
        done(BytesView{.bytes = Bytes(memory.get(), length), .pinned = false, .keep = memory});
      },
      call);
}

NodeView::NodeView(NodeConnection& connection, std::shared_ptr<SharedMemory> shared, const core::Plan& plan,
                   std::uint64_t offset, std::uint64_t length, const Options& options, Callback<BytesView> done)
    : connection_(connection),
      shared_(std::move(shared)),
      plan_(std::make_shared<const core::Plan>(plan)),
      offset_(offset),
      length_(cutAt(plan, offset, length)),
      options_(options),
      done_(std::move(done)) {}

void NodeView::start() {
  if (length_ == 0) return done_(BytesView());
  if (!shared_) return read();
  shared_->whole(*plan_, options_.call, [self = shared_from_this()](std::shared_ptr<const MappedObject> object) {
    if (!object) return self->shared_->slabs()->whenKnown([self] { self->read(); });
    const Bytes bytes = object->bytes(self->offset_, self->length_);
    self->done_(BytesView{.bytes = bytes, .pinned = true, .keep = std::move(object)});
  });
}

void NodeView::read() {
  auto memory = memoryFor(length_);
  if (!memory) return done_(fail(memory.error()));
  copy_ = std::move(*memory);
  ReadOperation::Ranges wanted;
  wanted.push_back(Wanted::of(plan_, offset_, length_, {MutableBytes(copy_.get(), length_)}));
  // What lies in two chunks never is in one piece.
  const bool in_one = offset_ >> plan_->chunk_bits == (offset_ + length_ - 1) >> plan_->chunk_bits;
  auto pinned = std::make_shared<PinnedBytes>();
  connection_.run(std::make_shared<ReadOperation>(
      connection_, std::move(wanted),
      ReadOperation::Options{.deadline = options_.deadline,
                             .call = options_.call,
                             .slabs = shared_ ? shared_->slabs() : nullptr,
                             .pin_into = in_one && shared_ ? pinned : nullptr},
      [self = shared_from_this(), pinned](std::span<const Wanted> all) { self->ended(all.front(), *pinned); }));
}

void NodeView::ended(const Wanted& wanted, const PinnedBytes& pinned) {
  const bool in_place = pinned.slab != nullptr;
  auto keep = in_place ? std::make_shared<Pinned>(shared_->slabs(), pinned) : nullptr;
  if (wanted.error) return done_(fail(*wanted.error));
  if (in_place) return done_(BytesView{.bytes = pinned.bytes, .pinned = true, .keep = std::move(keep)});
  if (shared_) shared_->wasRead(*plan_);
  done_(BytesView{.bytes = Bytes(copy_.get(), length_), .pinned = false, .keep = std::move(copy_)});
}

}  // namespace forebay::client
