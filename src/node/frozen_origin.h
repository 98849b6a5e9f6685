// The origin of a frozen mount: its names come from a manifest, its bytes from the origin that the manifest was made
// of.
//
// head(), list() and the names of open() never ask the origin. get() asks for the manifest's version and no other;
// where that has changed or gone, the error names the object and both versions (one look at the origin tells the other
// one). probe() asks for the first byte of one object: whether credentials and place are right.
//
// Questions about names read the manifest's file on the worker pool, many of them in one go.
//
// Threading and failure: as Origin; Corrupt if the manifest's file was changed since it was checked. Bounds: one piece
// of work on the pool at a time; who asks is bounded by whoever answers names (core/name_cache.h).
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "io/reactor.h"
#include "io/worker_pool.h"
#include "node/manifest.h"
#include "origin/origin.h"

namespace forebay::node {

class FrozenOrigin final : public origin::Origin {
 public:
  // `pool` and `reactor` must outlive it.
  FrozenOrigin(std::unique_ptr<origin::Origin> source, std::shared_ptr<const Manifest> manifest, io::Reactor& reactor,
               io::WorkerPool& pool);
  ~FrozenOrigin() override;

  void probe(TimePoint deadline, origin::DoneCallback done) override;
  void head(std::string path, TimePoint deadline, origin::Callback<origin::ObjectInfo> done) override;
  void get(std::string path, std::string version, std::uint64_t offset, std::uint64_t length, origin::ByteSink& sink,
           TimePoint deadline, origin::DoneCallback done) override;
  void open(std::string path, std::uint64_t most, origin::OpenSink& sink, TimePoint deadline,
            origin::Callback<origin::ObjectInfo> done) override;
  void list(std::string prefix, std::string next, std::uint32_t max, TimePoint deadline,
            origin::NextPageCallback next_page, origin::Callback<origin::ListPage> done) override;
  std::string url() const override { return source_->url(); }

  origin::Origin& source() { return *source_; }
  const Manifest& manifest() const { return *manifest_; }

 private:
  struct Look {
    std::string path;
    Result<origin::ObjectInfo> found = fail(Code::Internal, "not looked up");
    origin::Callback<origin::ObjectInfo> done;
  };
  struct List {
    std::string prefix, next;
    std::uint32_t max = 0;
    Result<origin::ListPage> page = fail(Code::Internal, "not listed");
    origin::Callback<origin::ListPage> done;
  };
  using Question = std::variant<Look, List>;
  class OneByte;

  void ask(Question question);
  void work();
  static void answer(const Manifest& manifest, Question& question);
  void explain(const std::string& path, const std::string& version, TimePoint deadline, origin::DoneCallback done);

  std::unique_ptr<origin::Origin> source_;
  std::shared_ptr<const Manifest> manifest_;
  io::Reactor& reactor_;
  io::WorkerPool& pool_;
  std::deque<Question> waiting_;
  bool working_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace forebay::node
