#include <algorithm>
#include <fmt/format.h>
#include <numeric>

#include "client/abi/names.h"
#include "io/reactor.h"

namespace forebay::abi {
namespace {

constexpr std::uint64_t kMostWithPlan = kMiB;  // what a name's owner opens at the origin at once

// A batch from its ranges in the caller's memory to their outcomes there.
struct Batch {
  std::shared_ptr<Session> session;
  forebay_range* first = nullptr;
  std::size_t stride = 0, count = 0;
  bool warm_only = false;
  std::vector<client::BatchItem> items;  // by range
  std::vector<std::size_t> unresolved;   // ranges, by name
  std::vector<Name> names;
  bool from_start = true;         // every range of a name begins at its object's first byte
  std::uint32_t first_bytes = 0;  // and they have at most so many, or as many as are worth fetching with a plan
  std::vector<bool> ended;        // by range
  std::vector<std::size_t> sent;  // ranges of what is read
  Status failure;                 // of the first range that has one
  std::size_t failed = 0;         // which that is
  Done done;

  forebay_range& range(std::size_t index) const {
    return *reinterpret_cast<forebay_range*>(reinterpret_cast<std::byte*>(first) + stride * index);
  }
  void end(std::size_t index, const Result<std::uint64_t>& result) {
    ended[index] = true;
    forebay_range& to = range(index);
    to.got = result ? *result : 0;
    to.code = result ? FOREBAY_OK : static_cast<forebay_code>(result.error().code);
    if (result || (!failure && failed < index)) return;
    failure = fail(result.error());
    failed = index;
  }
};

// What is read from an object's first byte on may come with its plan.
void expectWithPlan(Batch& batch, const client::BatchItem& item, Name& name) {
  std::uint64_t left = item.length;
  for (const MutableBytes piece : item.into) {
    name.into.push_back(piece.first(std::min<std::uint64_t>(left, piece.size())));
    left -= name.into.back().size();
  }
  batch.from_start &= item.offset == 0;
  batch.first_bytes = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(batch.first_bytes, std::min(item.length - left, kMostWithPlan)));
}

Status add(Batch& batch, std::size_t index) {
  const forebay_range& range = batch.range(index);
  if ((range.object == nullptr) == (range.name == nullptr))
    return fail(Code::InvalidArgument, fmt::format("range {}: give its object or its name", index));
  if (range.object != nullptr && range.object->session != batch.session)
    return fail(Code::InvalidArgument, fmt::format("range {}: its object was opened by another client", index));
  client::BatchItem item{.plan = {}, .offset = range.offset, .length = range.length, .into = {}};
  for (std::size_t i = 0; !batch.warm_only && i < range.piece_count; ++i) {
    const forebay_piece& piece = range.pieces[i];
    if (piece.base == nullptr && piece.length != 0)
      return fail(Code::InvalidArgument, fmt::format("range {}: piece {} is nowhere", index, i));
    item.into.emplace_back(static_cast<std::byte*>(piece.base), piece.length);
  }
  if (range.object != nullptr) {
    item.plan = range.object->plan;
  } else {
    batch.names.push_back(TRY(parseName(range.name)));
    expectWithPlan(batch, item, batch.names.back());
    batch.unresolved.push_back(index);
  }
  batch.items.push_back(std::move(item));
  return {};
}

// That its pieces hold the range, now that the object's size is known.
Status checkRoom(const client::BatchItem& item) {
  const std::uint64_t left = item.offset < item.plan->size ? item.plan->size - item.offset : 0;
  const std::uint64_t needed = std::min(item.length, left);
  std::uint64_t room = 0;
  for (const MutableBytes piece : item.into) room += piece.size();
  if (room >= needed) return {};
  return fail(Code::InvalidArgument, fmt::format("{}: its pieces hold {} bytes, and {} come at offset {}",
                                                 item.plan->path, room, needed, item.offset));
}

void read(const std::shared_ptr<Batch>& batch, const Asked& asked) {
  std::vector<client::BatchItem> items;
  for (std::size_t i = 0; i < batch->count; ++i) {
    client::BatchItem& item = batch->items[i];
    if (batch->ended[i]) continue;  // its name wasn't found, or its bytes came with the plan
    item.length = std::min(item.length, item.plan->size > item.offset ? item.plan->size - item.offset : 0);
    if (const Status room = batch->warm_only ? Status() : checkRoom(item); !room) {
      batch->end(i, fail(room.error()));
      continue;
    }
    batch->sent.push_back(i);
    items.push_back(std::move(item));
  }
  asked.cell.readBatch(
      std::move(items), batch->warm_only, asked.deadline,
      [batch](client::CellReader::BatchResults results) {
        for (std::size_t i = 0; i < results.size(); ++i) batch->end(batch->sent[i], results[i]);
        batch->done(std::move(batch->failure));
      },
      asked.id);
}

void start(const std::shared_ptr<Batch>& batch, const Asked& asked) {
  for (std::size_t i = 0; i < batch->count; ++i) {
    if (batch->ended[i]) continue;
    batch->range(i).code = FOREBAY_OK;
    batch->range(i).got = 0;
  }
  if (batch->names.empty()) return read(batch, asked);
  const std::uint32_t first_bytes = batch->from_start ? batch->first_bytes : 0;
  resolve(asked, std::move(batch->names), {.object_only = true, .revalidate = false, .fill_up_to = first_bytes},
          [batch, deadline = asked.deadline, id = asked.id](Answers answers) {
            for (std::size_t i = 0; i < answers.size(); ++i) {
              const std::size_t index = batch->unresolved[i];
              if (!answers[i])
                batch->end(index, fail(answers[i].error()));
              else if (answers[i]->read)
                batch->end(index, answers[i]->plan.size);
              else
                batch->items[index].plan = std::make_shared<const core::Plan>(std::move(answers[i]->plan));
            }
            const Status there = batch->session->with(
                [&](client::CellReader& cell) { read(batch, {.cell = cell, .deadline = deadline, .id = id}); });
            if (!there) batch->done(fail(there.error()));
          });
}

// In the caller's thread, what is mapped of open objects. True: that was all.
bool readMapped(Batch& batch) {
  std::size_t left = batch.count;
  const Status there = batch.session->with([&](client::CellReader& cell) {
    for (std::size_t i = 0; i < batch.count; ++i) {
      const forebay_range& range = batch.range(i);
      if (range.object == nullptr) continue;
      const client::BatchItem& item = batch.items[i];
      const auto copied = cell.readMapped(*range.object->plan, item.offset, item.length, item.into);
      if (!copied) continue;
      batch.end(i, *copied);
      --left;
    }
  });
  return there && left == 0;
}

forebay_code runBatch(forebay_client* client, forebay_range* ranges, std::size_t count, bool warm_only,
                      forebay_call* call, forebay_error* error) {
  constexpr std::size_t kMost = 1'048'576;
  if (ranges == nullptr || count == 0 || count > kMost)
    return fill(error, {Code::InvalidArgument, fmt::format("a batch has 1 to {} ranges, not {}", kMost, count), 0});
  auto batch = std::make_shared<Batch>();
  batch->session = client->session;
  batch->first = ranges;
  batch->stride = ranges->size;
  batch->count = count;
  batch->warm_only = warm_only;
  if (const Status good = checkSize("forebay_range", ranges->size, sizeof *ranges); !good)
    return fill(error, good.error());
  for (std::size_t i = 0; i < count; ++i)
    if (const Status good = add(*batch, i); !good) return fill(error, good.error());
  batch->ended.assign(count, false);
  if (!warm_only && mayReadHere(*client->session, call) && readMapped(*batch)) return FOREBAY_OK;
  return run(client->session, call, error, [batch](const Asked& asked, Done done) {
    batch->done = std::move(done);
    start(batch, asked);
  });
}

}  // namespace
}  // namespace forebay::abi

forebay_code forebay_read(forebay_object* object, std::uint64_t offset, void* buffer, std::uint64_t length,
                          std::uint64_t* got, forebay_call* call, forebay_error* error) {
  using namespace forebay;  // NOLINT(google-build-using-namespace)
  if (got == nullptr || (buffer == nullptr && length != 0))
    return abi::fill(error, {Code::InvalidArgument, "a read needs a buffer and a place for the number of bytes", 0});
  if (abi::mayReadHere(*object->session, call)) {
    const MutableBytes into(static_cast<std::byte*>(buffer), length);
    std::optional<std::uint64_t> copied;
    const Status there = object->session->with(
        [&](client::CellReader& cell) { copied = cell.readMapped(*object->plan, offset, length, {&into, 1}); });
    if (there && copied) {
      *got = *copied;
      return FOREBAY_OK;
    }
  }
  return abi::run(object->session, call, error,
                  [plan = object->plan, offset, into = MutableBytes(static_cast<std::byte*>(buffer), length), got](
                      const abi::Asked& asked, abi::Done done) mutable {
                    std::vector<client::BatchItem> items;
                    items.push_back({.plan = std::move(plan), .offset = offset, .length = into.size(), .into = {into}});
                    asked.cell.readBatch(
                        std::move(items), false, asked.deadline,
                        [got, done = std::move(done)](client::CellReader::BatchResults results) mutable {
                          if (!results[0]) return done(fail(results[0].error()));
                          *got = *results[0];
                          done({});
                        },
                        asked.id);
                  });
}

forebay_code forebay_read_batch(forebay_client* client, forebay_range* ranges, std::size_t count, forebay_call* call,
                                forebay_error* error) {
  return forebay::abi::runBatch(client, ranges, count, false, call, error);
}

forebay_code forebay_prefetch(forebay_client* client, forebay_range* ranges, std::size_t count, forebay_call* call,
                              forebay_error* error) {
  return forebay::abi::runBatch(client, ranges, count, true, call, error);
}

forebay_code forebay_map(forebay_object* object, forebay_mapping** mapping, const void** base, forebay_call* call,
                         forebay_error* error) {
  using namespace forebay;  // NOLINT(google-build-using-namespace)
  if (mapping == nullptr || base == nullptr)
    return abi::fill(error, {Code::InvalidArgument, "a mapping needs a place for its handle and its address", 0});
  return abi::run(
      object->session, call, error, [plan = object->plan, mapping, base](const abi::Asked& asked, abi::Done done) {
        // What is missing is fetched meanwhile; the node's answer that it couldn't be needs the rest of the time.
        const Duration left = asked.deadline - io::Reactor::now();
        asked.cell.region(
            *plan, {.wait = left - left / 8}, asked.deadline,
            [plan, mapping, base, done = std::move(done)](const Result<io::Descriptor>& file) mutable {
              if (!file) return done(fail(file.error()));
              auto mapped = client::MappedObject::of(file->get(), plan->size, true);
              if (!mapped)
                return done(fail(Code::IoError, fmt::format("{}: the node's file can't be mapped", plan->path)));
              *base = mapped->bytes().data();
              *mapping = new forebay_mapping{std::move(mapped)};
              done({});
            });
      });
}

void forebay_unmap(forebay_mapping* mapping) {
  delete mapping;
}

forebay_code forebay_view_bytes(forebay_object* object, std::uint64_t offset, std::uint64_t length, forebay_view** view,
                                const void** base, std::uint64_t* got, forebay_call* call, forebay_error* error) {
  using namespace forebay;  // NOLINT(google-build-using-namespace)
  if (view == nullptr || base == nullptr || got == nullptr)
    return abi::fill(error,
                     {Code::InvalidArgument, "a view needs a place for its handle, its address and its size", 0});
  return abi::run(object->session, call, error,
                  [plan = object->plan, offset, length, view, base, got](const abi::Asked& asked, abi::Done done) {
                    asked.cell.view(
                        *plan, offset, length, asked.deadline,
                        [view, base, got, done = std::move(done)](Result<client::BytesView> shown) mutable {
                          if (!shown) return done(fail(shown.error()));
                          *base = shown->bytes.data();
                          *got = shown->bytes.size();
                          *view = new forebay_view{std::move(*shown), abi::processGeneration()};
                          done({});
                        },
                        asked.id);
                  });
}

int forebay_view_pinned(const forebay_view* view) {
  return view != nullptr && view->view.pinned ? 1 : 0;
}

void forebay_view_release(forebay_view* view) {
  // A child would speak for its parent, over its connection.
  if (view != nullptr && view->process == forebay::abi::processGeneration()) delete view;
}
