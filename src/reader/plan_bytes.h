// Receives the bytes of small objects that come with their plans (wire/plan_bytes.h), straight from the socket into
// where a derived class has room for them, and knows which of them are good.
//
//   auto bytes = std::make_shared<IntoSomewhere>(...);   // : PlanBytes
//   channel.call(ResolveRequest, request, deadline, [bytes](Result<Answer> answer) {
//     for each item of the answer: if (bytes->came(i)) ...
//   }, version, bytes);
//
// Threading: the channel's loop.
#pragma once

#include "reader/channel.h"
#include "wire/plan_bytes.h"

namespace forebay::reader {

class PlanBytes : public BulkReceiver {
 public:
  // That item's object came whole, into the room that it was given, and matches its checksums.
  bool came(std::size_t item) const { return item < placed_.size() && placed_[item] && verifier_.intact(item); }
  // It didn't, although there was room.
  bool damaged(std::size_t item) const { return item < placed_.size() && placed_[item] && !verifier_.intact(item); }

  Status room(const wire::FrameHeader& header, Bytes body, io::BulkTarget& target) final;
  void feed(Bytes bytes) final { verifier_.feed(bytes); }
  bool intact() const final;
  void lost() override { placed_.clear(); }

 protected:
  // Adds room for exactly the object's bytes; or none, and is false: they aren't wanted. In the items' order.
  virtual bool place(std::size_t item, const wire::pb::Resolved& said, io::BulkTarget& target) = 0;

 private:
  wire::PlanBytesVerifier verifier_;
  std::vector<bool> placed_;  // by item
};

}  // namespace forebay::reader
