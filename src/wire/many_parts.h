// A message whose parts (a page's entries) are allocated together, and freed together with it: a page of 5,000 names
// costs a few allocations, not five for each name.
#pragma once

#include <google/protobuf/arena.h>
#include <memory>

#include "wire/messages.h"

namespace forebay::wire {

template <class M>
class OfManyParts {
 public:
  M& operator*() const { return *message_; }
  M* operator->() const { return message_; }

 private:
  static google::protobuf::ArenaOptions options() {
    google::protobuf::ArenaOptions options;
    options.start_block_size = 4 * kKiB;
    options.max_block_size = 256 * kKiB;
    return options;
  }
  std::unique_ptr<google::protobuf::Arena> arena_ = std::make_unique<google::protobuf::Arena>(options());
  M* message_ = google::protobuf::Arena::CreateMessage<M>(arena_.get());
};
// Parses and validates such a one.
template <class M>
Result<OfManyParts<M>> parseMany(Bytes body) {
  OfManyParts<M> message;
  TRY(parseMessage(body, *message, message->GetTypeName()));
  TRY(validate(*message));
  return message;
}

}  // namespace forebay::wire
