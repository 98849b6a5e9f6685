// One connection of a Server: its open requests, by slot. Internal to server.cc and Reply.
//
// A request's slot is reused once it has ended; the generation in a Reply tells an ended request from the one that has
// its slot now. Requests are few and live long compared with frames, so a Cancel looks its slot up by a scan.
#pragma once

#include "io/server.h"

namespace forebay::io {

class ServerSession : public ConnectionHandler, public std::enable_shared_from_this<ServerSession> {
 public:
  explicit ServerSession(Server& server) : server_(&server) {}
  Status start(Accepted accepted);
  void close();                              // the server goes away
  bool refused() const { return refused_; }  // there are too many: it is only told so

  // For Reply.
  bool alive(std::uint32_t slot, std::uint32_t generation) const;
  Status finish(std::uint32_t slot, wire::MessageType type, const google::protobuf::MessageLite& message,
                Descriptor descriptor = {});
  Status finishWithBulk(std::uint32_t slot, wire::MessageType type, const google::protobuf::MessageLite& message,
                        std::span<const Bytes> bulk, std::shared_ptr<const void> keep);
  Result<Descriptor> peerProcess() const { return connection_->peerProcess(); }
  bool takesDescriptors() const { return connection_->remote().identity.is_unix; }
  Status data(std::uint32_t slot, const wire::ReadData& data, const wire::ReadDataLists& lists,
              std::span<const Bytes> bulk, std::shared_ptr<const void> keep);
  void onWritable(std::uint32_t slot, Task task) { slots_[slot].writable = std::move(task); }
  void onGone(std::uint32_t slot, Task task) { slots_[slot].gone = std::move(task); }

  void opened(const RemoteInfo& remote) override;
  void frame(const wire::FrameHeader& header, Bytes body) override;
  void bulkComing(const wire::FrameHeader&, Bytes, BulkTarget&) override {}  // no request has bulk yet: dropped
  void bulkArrived(const wire::FrameHeader& header, Bytes body, bool intact) override;
  void writable() override;
  void closed(const Error& why) override;

 private:
  struct Slot {
    std::uint64_t request_id = 0;
    std::uint32_t generation = 0;
    bool used = false;
    Task writable, gone;
  };
  void dispatch(const wire::FrameHeader& header, Bytes body);
  void cancel(std::uint64_t request_id);
  void refuse(std::uint64_t request_id, const Error& error);
  wire::FrameHeader answerTo(std::uint64_t request_id, wire::MessageType type) const;
  Reply claim(const wire::FrameHeader& header, TimePoint now, TimePoint deadline);
  Task release(std::uint32_t slot);
  void leave();
  void pauseWhenBehind();

  Server* server_;  // null once it is gone
  std::shared_ptr<Connection> connection_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t open_ = 0;
  bool refused_ = false;
  std::uint32_t next_writable_ = 0;  // slot of the reply that comes first when there is room again
  std::uint64_t map_version_ = 0;    // the newest that this client has spoken of
  std::vector<std::byte> scratch_;
};

}  // namespace forebay::io
