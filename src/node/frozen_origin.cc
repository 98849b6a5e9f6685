#include "node/frozen_origin.h"

#include <algorithm>
#include <fmt/format.h>
#include <ranges>

#include "base/log.h"
#include "origin/encoding.h"

namespace forebay::node {
namespace {

constexpr std::size_t kAtOnce = 1'024;  // questions in one piece of work: about 10 ms of a worker's time
constexpr Duration kWorkerBusy = 10ms;  // then the pool's queue is tried again

origin::ObjectInfo infoOf(const ManifestEntry& entry) {
  return {.size = entry.size, .version = entry.version, .mtime_ns = entry.mtime_ns};
}

}  // namespace

FrozenOrigin::FrozenOrigin(std::unique_ptr<origin::Origin> source, std::shared_ptr<const Manifest> manifest,
                           io::Reactor& reactor, io::WorkerPool& pool)
    : source_(std::move(source)), manifest_(std::move(manifest)), reactor_(reactor), pool_(pool) {}

FrozenOrigin::~FrozenOrigin() {
  alive_.reset();
}

// ---- names ----

void FrozenOrigin::answer(const Manifest& manifest, Question& question) {
  std::visit(Overloaded{[&](Look& look) {
                          auto entry = manifest.find(look.path);
                          if (!entry)
                            look.found = fail(std::move(entry.error()));
                          else if (!*entry)
                            look.found = fail(Code::NotFound, look.path + ": not in the mount's manifest");
                          else
                            look.found = infoOf(**entry);
                        },
                        [&](List& list) { list.page = manifest.list(list.prefix, list.next, list.max); }},
             question);
}

void FrozenOrigin::ask(Question question) {
  waiting_.push_back(std::move(question));
  if (!working_) work();
}

void FrozenOrigin::work() {
  auto batch = std::make_shared<std::vector<Question>>();
  while (!waiting_.empty() && batch->size() < kAtOnce) {
    batch->push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  working_ = !batch->empty();
  if (!working_) return;
  const auto submitted = pool_.submit(
      [batch, manifest = manifest_] {
        for (Question& question : *batch) answer(*manifest, question);
      },
      [this, batch, alive = std::weak_ptr(alive_)] {
        for (Question& question : *batch) {
          if (alive.expired()) return;
          std::visit(Overloaded{[](Look& look) { look.done(std::move(look.found)); },
                                [](List& list) { list.done(std::move(list.page)); }},
                     question);
        }
        if (!alive.expired()) work();
      });
  if (submitted) return;
  // The pool's queue is full of other work: ours waits here, in order.
  for (Question& question : std::views::reverse(*batch)) waiting_.push_front(std::move(question));
  reactor_.after(kWorkerBusy, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) work();
  });
}

void FrozenOrigin::head(std::string path, TimePoint, origin::Callback<origin::ObjectInfo> done) {
  Look look;
  look.path = std::move(path);
  look.done = std::move(done);
  ask(std::move(look));
}

void FrozenOrigin::list(std::string prefix, std::string next, std::uint32_t max, TimePoint, origin::NextPageCallback,
                        origin::Callback<origin::ListPage> done) {
  List list;
  list.prefix = std::move(prefix);
  list.next = std::move(next);
  list.max = max;
  list.done = std::move(done);
  ask(std::move(list));
}

// ---- bytes ----

void FrozenOrigin::get(std::string path, std::string version, std::uint64_t offset, std::uint64_t length,
                       origin::ByteSink& sink, TimePoint deadline, origin::DoneCallback done) {
  auto ended = [this, path, version, deadline, done = std::move(done),
                alive = std::weak_ptr(alive_)](Status status) mutable {
    if (alive.expired()) return;
    if (status || status.error().code != Code::Gone) return done(std::move(status));
    explain(path, version, deadline, std::move(done));
  };
  source_->get(std::move(path), std::move(version), offset, length, sink, deadline, std::move(ended));
}

// The reader has lost this version; which one is there now is for the person who has to make a new manifest.
void FrozenOrigin::explain(const std::string& path, const std::string& version, TimePoint deadline,
                           origin::DoneCallback done) {
  source_->head(path, deadline,
                [this, path, version, done = std::move(done),
                 alive = std::weak_ptr(alive_)](Result<origin::ObjectInfo> now) mutable {
                  if (alive.expired()) return;
                  const std::string what = origin::shown(path);
                  const std::string then =
                      fmt::format("the manifest ({}) has version {}", manifest_->made(), origin::shown(version));
                  std::string text;
                  if (now && now->version != version)
                    text = fmt::format("{} changed since the manifest was made: {}, the origin has {}", what, then,
                                       origin::shown(now->version));
                  else if (!now && now.error().code == Code::NotFound)
                    text = fmt::format("{} vanished since the manifest was made: {}, the origin has none", what, then);
                  else
                    text = fmt::format("{} changed while it was read: {}, the origin sent another", what, then);
                  done(fail(Code::Gone, std::move(text)));
                });
}

void FrozenOrigin::open(std::string path, std::uint64_t most, origin::OpenSink& sink, TimePoint deadline,
                        origin::Callback<origin::ObjectInfo> done) {
  std::string name = path;
  head(std::move(path), deadline,
       [this, path = std::move(name), most, &sink, deadline,
        done = std::move(done)](Result<origin::ObjectInfo> info) mutable {
         if (!info) return done(std::move(info));
         const std::uint64_t length = std::min(most, info->size);
         const std::weak_ptr<int> alive = alive_;
         sink.begins(*info, length);
         if (alive.expired()) return;
         if (length == 0) return done(std::move(info));
         std::string version = info->version;
         get(std::move(path), std::move(version), 0, length, sink, deadline,
             [info = std::move(info), done = std::move(done)](Status status) mutable {
               if (status)
                 done(std::move(info));
               else
                 done(fail(std::move(status.error())));
             });
       });
}

class FrozenOrigin::OneByte : public origin::ByteSink {
 public:
  MutableBytes room() override { return {&byte_, 1}; }
  void wrote(std::size_t) override {}

 private:
  std::byte byte_{};
};

void FrozenOrigin::probe(TimePoint deadline, origin::DoneCallback done) {
  const auto& sample = manifest_->sample();
  if (!sample) {
    reactor_.post([done = std::move(done), alive = std::weak_ptr(alive_)]() mutable {
      if (!alive.expired()) done({});
    });
    return;
  }
  auto sink = std::make_unique<OneByte>();
  OneByte& to = *sink;
  get(sample->path, sample->version, 0, 1, to, deadline,
      [sink = std::move(sink), url = url(), done = std::move(done)](Status status) mutable {
        if (status || status.error().code != Code::Gone) return done(std::move(status));
        // The origin answers: an object that was lost is for its readers to complain about.
        log::warn("mount", "{}: {}", url, status.error().message);
        done({});
      });
}

}  // namespace forebay::node
