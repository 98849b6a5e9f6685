#include "cli/loader.h"

#include <algorithm>
#include <fmt/format.h>
#include <thread>

#include "cli/tree_walk.h"
#include "cli/units.h"

namespace forebay::cli {

Loader::Loader(Cell& cell, Progress& progress, unsigned in_flight)
    : cell_(cell), progress_(progress), in_flight_(std::clamp(in_flight, 1U, 1024U)) {}

void Loader::run(const std::vector<std::string>& names) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < in_flight_; ++i) threads.emplace_back([this] { work(); });
  for (const std::string& name : names) list(name);
  progress_.listed();
  {
    const std::lock_guard lock(mutex_);
    listing_ = false;
  }
  work_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void Loader::list(const std::string& text) {
  const auto name = ObjectName::parse(text);
  if (!name) return progress_.failed(text, name.error(), 0, false);
  const auto found = cell_.lookup(*name, false);
  if (!found) return progress_.failed(text, found.error(), 0, false);
  if (!found->directory) return push(*name, found->plan.size);
  TreeWalk walk(cell_, *name, {.raw = false, .recursive = true});
  while (auto step = walk.next()) {
    if (step->error) {
      progress_.failed(step->name.text() + "/", std::move(*step->error), 0, false);
    } else if (!step->entry.directory) {
      push(std::move(step->name), step->entry.size);
    }
  }
}

void Loader::push(ObjectName name, std::uint64_t size) {
  progress_.found(size);
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return listed_.size() < kMaxAhead; });
  listed_.push_back({.name = std::move(name), .size = size});
  lock.unlock();
  work_.notify_one();
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return !warming_.empty() || !listed_.empty() || (!listing_ && resolving_ == 0); });
    if (!warming_.empty()) {
      warmPiece(lock, takePiece());
    } else if (!listed_.empty()) {
      resolveBatch(lock);
    } else {
      return;
    }
  }
}

// The next names of one mount, in one call.
void Loader::resolveBatch(std::unique_lock<std::mutex>& lock) {
  std::vector<Listed> batch;
  while (!listed_.empty() && batch.size() < kBatch &&
         (batch.empty() || listed_.front().name.mount == batch.front().name.mount)) {
    batch.push_back(std::move(listed_.front()));
    listed_.pop_front();
  }
  ++resolving_;
  lock.unlock();
  room_.notify_all();
  std::vector<std::string> paths;
  for (const Listed& listed : batch) paths.push_back(listed.name.path);
  auto answers = cell_.resolve(batch.front().name.mount, paths, true);
  if (answers && answers->size() != batch.size()) {
    answers = fail(Code::Internal, fmt::format("{} answers for {} names", answers->size(), batch.size()));
  }
  lock.lock();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    begin(batch[i], answers ? std::move((*answers)[i]) : Result<client::Attributes>(fail(answers.error())));
  }
  --resolving_;
  work_.notify_all();
}

void Loader::begin(const Listed& listed, Result<client::Attributes> found) {
  if (!found) return progress_.failed(listed.name.text(), found.error(), listed.size);
  const std::uint64_t size = found->plan.size;
  if (size != listed.size) progress_.resized(listed.size, size);
  if (size == 0) return progress_.objectDone();
  warming_.push_back(
      std::make_shared<Warming>(Warming{.name = listed.name, .plan = std::move(found->plan), .error = {}}));
}

Loader::Piece Loader::takePiece() {
  const std::shared_ptr<Warming> object = warming_.front();
  const std::uint64_t length = std::min(object->plan.chunkSize(), object->plan.size - object->next);
  Piece piece{.of = object, .offset = object->next, .length = length};
  object->next += length;
  ++object->running;
  if (object->next == object->plan.size) warming_.pop_front();
  return piece;
}

void Loader::warmPiece(std::unique_lock<std::mutex>& lock, const Piece& piece) {
  Warming& object = *piece.of;
  lock.unlock();
  const Status warmed = cell_.warm(object.name.mount, object.plan, piece.offset, piece.length);
  lock.lock();
  --object.running;
  if (warmed) {
    object.done += piece.length;
    progress_.advanced(piece.length);
  } else if (!object.error) {
    object.error = warmed.error();
    if (object.next < object.plan.size) {  // what nobody took yet is skipped
      std::erase(warming_, piece.of);
      object.next = object.plan.size;
    }
  }
  endIfDone(object);
}

void Loader::endIfDone(Warming& object) {
  if (object.running != 0 || object.next < object.plan.size) return;
  if (object.error) {
    progress_.failed(object.name.text(), *object.error, object.plan.size - object.done);
  } else {
    progress_.objectDone();
  }
}

}  // namespace forebay::cli
