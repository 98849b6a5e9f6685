#include "client/direct_client.h"

#include <fmt/format.h>

#include "client/direct_names.h"
#include "client/direct_read.h"
#include "client/node_client.h"

namespace forebay::client {
namespace {

// Asks the seeds until one has given its map.
class FirstMap : public Operation {
 public:
  FirstMap(DirectCell& cell, TimePoint deadline, Callback<bool> done)
      : Operation(cell, deadline, 0), cell_(cell), done_(std::move(done)) {}

 private:
  void attempt() override {
    const auto self = std::static_pointer_cast<FirstMap>(shared_from_this());
    cell_.askSeeds(deadline_, [self](const Status& found) {
      if (self->over_) return;
      if (!found) return self->again(found.error());
      self->close();
      self->done_(true);
    });
  }
  bool idle() const override { return true; }
  void forget() override { over_ = true; }
  void finish(const Error& error) override {
    over_ = true;
    done_(fail(error));
  }

  DirectCell& cell_;
  Callback<bool> done_;
  bool over_ = false;
};

}  // namespace

DirectClient::DirectClient(std::unique_ptr<DirectCell> cell) : cell_(std::move(cell)) {}
DirectClient::~DirectClient() {
  cell_->stop();
}
std::uint64_t DirectClient::hedges() const {
  return cell_->hedges;
}

Result<std::shared_ptr<DirectClient>> DirectClient::connect(const Options& options) {
  if (options.seeds.empty() || options.seeds.size() > DirectCell::kMaxSeeds)
    return fail(Code::InvalidArgument,
                fmt::format("{} members to start with: give 1 to {}", options.seeds.size(), DirectCell::kMaxSeeds));
  auto cell = std::make_unique<DirectCell>(options.name);
  TRY(cell->start(options.seeds));
  std::shared_ptr<DirectClient> client(new DirectClient(std::move(cell)));
  TRY(wait<bool>([&](auto done) {
    client->cell_->run(std::make_shared<FirstMap>(*client->cell_, options.connect_by, std::move(done)));
  }));
  return client;
}

void DirectClient::resolveAll(std::string mount, std::span<const std::string> paths, ResolveOptions options,
                              TimePoint deadline, Callback<Answers> done, CallId call) {
  cell_->run(std::make_shared<DirectResolve>(
      *cell_,
      DirectResolve::Question{.mount = std::move(mount), .paths = {paths.begin(), paths.end()}, .options = options},
      deadline, call, std::move(done)));
}

void DirectClient::list(std::string mount, std::string path, std::string cursor, ListOptions options,
                        TimePoint deadline, Callback<DirectoryPage> done, CallId call) {
  cell_->run(std::make_shared<DirectList>(
      *cell_,
      DirectList::Question{
          .mount = std::move(mount), .path = std::move(path), .cursor = std::move(cursor), .options = options},
      deadline, call, std::move(done)));
}

void DirectClient::readBatch(std::vector<BatchItem> items, bool warm_only, TimePoint deadline,
                             std::move_only_function<void(BatchResults)> done, CallId call) {
  std::vector<Wanted> wanted;
  wanted.reserve(items.size());
  for (BatchItem& item : items)
    wanted.push_back(Wanted::of(std::move(item.plan), item.offset, item.length, std::move(item.into)));
  cell_->run(std::make_shared<DirectRead>(
      *cell_, std::move(wanted), DirectRead::Options{.warm_only = warm_only, .deadline = deadline, .call = call},
      [done = std::move(done)](std::span<const Wanted> all) mutable {
        BatchResults results;
        results.reserve(all.size());
        for (const Wanted& one : all) results.push_back(one.result());
        done(std::move(results));
      }));
}

void DirectClient::region(const core::Plan&, const RegionWish&, TimePoint, Callback<io::Descriptor> done) {
  cell_->post([done = std::move(done)]() mutable {
    done(fail(Code::Unsupported, "an object is mapped from a node of this machine: connect to one"));
  });
}

OperationLoop& DirectClient::loop() {
  return *cell_;
}

void DirectClient::post(std::move_only_function<void()> task) {
  cell_->post(std::move(task));
}

void DirectClient::cancel(CallId call) {
  if (call != 0) cell_->cancel(call);
}

}  // namespace forebay::client
