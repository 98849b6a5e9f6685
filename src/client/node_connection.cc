#include "client/node_connection.h"

namespace forebay::client {

Status NodeConnection::start(const io::Address& node) {
  return startLoop([&]() -> Status {
    reader::ChannelOptions options;
    options.connection.self.name = name_;
    options.max_in_flight = 4'096;
    options.max_backoff = 500ms;
    options.tells_busy = true;
    options.resolver = &resolver();
    options.on_lost = [this] {
      if (lost_) lost_();
    };
    channel_ = std::make_unique<reader::Channel>(reactor(), node, options);
    return {};
  });
}

}  // namespace forebay::client
