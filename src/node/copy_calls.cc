#include "node/copy_calls.h"

#include <utility>

namespace forebay::node {
namespace {
constexpr Duration kDeadline = 60s;
}

class CopyCalls::Call : public reader::ReadObserver {
 public:
  Call(CopyCalls& calls, std::uint64_t id, std::move_only_function<void(bool)> done)
      : calls_(calls), id_(id), done_(std::move(done)) {}

  void start(reader::Channel& channel, const core::Plan& plan, std::uint32_t chunk) {
    channel_ = &channel;
    const wire::ReadObject object = wire::ReadObject::of(plan);
    wire::ReadItem item;
    item.flags = wire::kNoBytes | wire::kKeep;
    item.range = {chunk, 0, plan.chunkLength(chunk)};
    request_ = channel.read({.objects = {&object, 1}, .items = {&item, 1}, .map_version = calls_.cell_.map().version()},
                            *this, io::Reactor::now() + kDeadline);
  }
  void stop() { channel_->cancel(request_); }

  void room(std::uint16_t, std::uint32_t, std::uint32_t, io::BulkTarget&) override {}  // it wasn't to send any
  void arrived(std::uint16_t, const wire::ReadDataView&) override {}
  void finished(std::uint16_t, const reader::ItemResult& result) override {
    has_it_ = result.outcome == wire::ReadOutcome::Ok;
  }
  void done(Status status) override {
    const auto keep = calls_.open_.extract(id_);  // this object lives until the end of this call
    done_(status && has_it_);
  }

 private:
  CopyCalls& calls_;
  const std::uint64_t id_;
  std::move_only_function<void(bool)> done_;
  reader::Channel* channel_ = nullptr;
  reader::RequestId request_ = 0;
  bool has_it_ = false;
};

CopyCalls::CopyCalls(core::ChunkServer& cell, reader::Channels& channels) : cell_(cell), channels_(channels) {}

CopyCalls::~CopyCalls() {
  for (auto& [id, call] : open_) call->stop();
}

bool CopyCalls::ask(core::NodeId node, const core::Plan& plan, std::uint32_t chunk,
                    std::move_only_function<void(bool)> done) {
  reader::Channel* channel = channels_.to(node, cell_.map());
  if (channel == nullptr) return false;
  const std::uint64_t id = next_++;
  Call& call = *(open_[id] = std::make_unique<Call>(*this, id, std::move(done)));
  call.start(*channel, plan, chunk);
  return true;
}

}  // namespace forebay::node
