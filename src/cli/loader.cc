#include "cli/loader.h"

#include <algorithm>
#include <fmt/format.h>
#include <thread>
#include <utility>

#include "cli/tree_walk.h"
#include "wire/messages.h"

namespace forebay::cli {
namespace {
constexpr Duration kPause = 200ms;  // before a silent node is asked again
}

Loader::Loader(Cell& cell, Progress& progress, client::LoadTarget target)
    : cell_(cell), progress_(progress), target_(std::move(target)) {}

void Loader::run(const std::vector<std::string>& names) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back([this] { work(); });
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
  while (true) {
    const auto batch = takeBatch();
    if (batch.empty()) return;
    load(resolve(batch));
  }
}

// The next names of one mount. None: the listing is over, and everything was taken.
std::vector<Loader::Listed> Loader::takeBatch() {
  std::vector<Listed> batch;
  std::unique_lock lock(mutex_);
  work_.wait(lock, [this] { return !listed_.empty() || !listing_; });
  while (!listed_.empty() && batch.size() < kBatch &&
         (batch.empty() || listed_.front().name.mount == batch.front().name.mount)) {
    batch.push_back(std::move(listed_.front()));
    listed_.pop_front();
  }
  lock.unlock();
  room_.notify_all();
  return batch;
}

std::vector<Loader::Loading> Loader::resolve(const std::vector<Listed>& batch) {
  std::vector<std::string> paths;
  for (const Listed& listed : batch) paths.push_back(listed.name.path);
  auto answers = cell_.resolve(batch.front().name.mount, paths, true);
  if (answers && answers->size() != batch.size()) {
    answers = fail(Code::Internal, fmt::format("{} answers for {} names", answers->size(), batch.size()));
  }
  std::vector<Loading> objects;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    auto object =
        begin(batch[i], answers ? std::move((*answers)[i]) : Result<client::Attributes>(fail(answers.error())));
    if (object) objects.push_back(std::move(*object));
  }
  return objects;
}

std::optional<Loader::Loading> Loader::begin(const Listed& listed, Result<client::Attributes> found) {
  if (!found) {
    progress_.failed(listed.name.text(), found.error(), listed.size);
    return std::nullopt;
  }
  const std::uint64_t size = found->plan.size;
  if (size != listed.size) progress_.resized(listed.size, size);
  if (size == 0) {
    progress_.objectDone();
    return std::nullopt;
  }
  return Loading{.name = listed.name, .plan = std::move(found->plan), .counted = size, .bytes = 0};
}

void Loader::load(std::vector<Loading> objects) {
  for (bool anew = true; !objects.empty(); anew = false) {
    std::vector<core::Plan> plans;
    for (const Loading& object : objects) plans.push_back(object.plan);
    client::LoadTarget target;
    {
      const std::lock_guard lock(mutex_);
      target = target_;
    }
    target.anew = anew;
    const auto reply = cell_.load(plans, target);
    if (!reply) {
      for (const Loading& object : objects)
        progress_.failed(object.name.text(), reply.error(), object.counted - object.bytes);
      return;
    }
    hear(*reply);
    std::vector<Loading> left;
    for (std::size_t i = 0; i < objects.size(); ++i)
      if (!advance(objects[i], reply->items(static_cast<int>(i)))) left.push_back(std::move(objects[i]));
    objects = std::move(left);
    if (reply->silent_size() > 0) std::this_thread::sleep_for(kPause);
  }
}

// Whether the object is over.
bool Loader::advance(Loading& object, const wire::pb::Loaded& item) {
  // A node that began anew counts from the start, and what a silent node had is no longer counted: what was told stays.
  const std::uint64_t bytes = std::max(object.bytes, item.bytes());
  const std::uint64_t wanted = std::max(item.wanted_bytes(), bytes);
  if (wanted != object.counted) progress_.resized(object.counted, wanted);
  progress_.advanced(bytes - object.bytes);
  object.counted = wanted;
  object.bytes = bytes;
  if (!item.over()) return false;
  if (item.has_failure()) {
    progress_.failed(object.name.text(), wire::fromMessage(item.failure()), wanted - bytes);
  } else if (item.bytes() < item.wanted_bytes()) {
    progress_.failed(object.name.text(), {Code::Unavailable, "the cell's members changed meanwhile: load it again", 0},
                     wanted - bytes);
  } else {
    progress_.objectDone();
  }
  return true;
}

void Loader::hear(const wire::pb::LoadReply& reply) {
  const std::lock_guard lock(mutex_);
  std::map<core::NodeId, unsigned> unheard;
  for (const auto& node : reply.silent()) {
    if (std::ranges::find(target_.without, node.id()) != target_.without.end()) continue;
    const unsigned times = unheard_[node.id()] + 1;
    if (times < kPatience) {
      unheard[node.id()] = times;
      continue;
    }
    target_.without.push_back(node.id());
    silent_.push_back(node.name());
  }
  unheard_ = std::move(unheard);
}

}  // namespace forebay::cli
