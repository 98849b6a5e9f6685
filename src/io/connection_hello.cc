// How a connection starts: connect(2) ends, and the two sides agree on a version.
#include <fmt/format.h>

#include "io/connection.h"
#include "wire/messages.h"

namespace forebay::io {
namespace {

Result<std::uint8_t> agree(const Introduction& self, std::uint32_t min, std::uint32_t max) {
  const std::uint32_t version = std::min(self.max_version, max);
  if (min <= max && version >= std::max(self.min_version, min) && version > 0 && version <= 255)
    return static_cast<std::uint8_t>(version);
  return fail(Code::Unsupported,
              fmt::format("{} speaks protocol versions {} to {}, the other side {} to {}: upgrade the older one",
                          self.name, self.min_version, self.max_version, min, max));
}

wire::FrameHeader headerOf(wire::MessageType type) {
  wire::FrameHeader header;
  header.type = type;
  return header;
}

}  // namespace

void Connection::finishConnect() {
  if (const Status connected = connectError(fd_.get()); !connected) return end(&connected.error());
  state_ = State::Greeting;
  remote_.identity = identify(fd_.get());
  wire::pb::Hello hello;
  hello.set_min_version(options_.self.min_version);
  hello.set_max_version(options_.self.max_version);
  hello.set_name(options_.self.name);
  hello.set_peer(options_.self.peer);
  hello.set_direct(options_.self.direct);
  hello.set_node_id(options_.self.node_id);
  std::vector<std::byte> body;
  wire::FrameHeader header = headerOf(wire::MessageType::Hello);
  Status said = wire::serialize(hello, body);
  if (said) said = enqueue(header, body, {}, {});
  if (said) said = flush();
  if (!said) return end(&said.error());
  updateInterest();
}

// The first frame from the other side.
void Connection::greeting(Bytes body) {
  const bool accepting = !connecting_side_;
  if (accepting && header_.type == wire::MessageType::Hello) return onHello(body);
  if (!accepting && header_.type == wire::MessageType::HelloReply) return onHelloReply(body);
  if (options_.metrics != nullptr) options_.metrics->bad_hellos.add();
  Error why{.code = Code::Unavailable,
            .message = fmt::format("{} began with {}", name(), wire::messageName(header_.type))};
  if (!accepting && header_.type == wire::MessageType::Failure) {
    auto failure = wire::parse<wire::pb::Failure>(body);
    if (failure) why = wire::fromMessage(*failure);
  }
  end(&why);
}

void Connection::onHello(Bytes body) {
  auto hello = wire::parse<wire::pb::Hello>(body);
  if (!hello) return reject(hello.error());
  const Result<std::uint8_t> version = agree(options_.self, hello->min_version(), hello->max_version());
  if (!version) return reject(version.error());
  if (options_.refusal) return reject(*options_.refusal);
  remote_.name = hello->name();
  remote_.peer = hello->peer();
  remote_.direct = hello->direct();
  remote_.node_id = hello->node_id();

  wire::pb::HelloReply reply;
  reply.set_version(*version);
  reply.set_name(options_.self.name);
  reply.set_node_id(options_.self.node_id);
  if (options_.self.map_version) reply.set_map_version(options_.self.map_version());
  std::vector<std::byte> bytes;
  wire::FrameHeader header = headerOf(wire::MessageType::HelloReply);
  header.request_id = header_.request_id;
  Status said = wire::serialize(reply, bytes);
  if (said) said = enqueue(header, bytes, {}, {});
  if (!said) return end(&said.error());
  remote_.version = *version;
  becomeOpen();
}

void Connection::onHelloReply(Bytes body) {
  auto reply = wire::parse<wire::pb::HelloReply>(body);
  if (!reply) return badFrame(reply.error());
  if (reply->version() < options_.self.min_version || reply->version() > options_.self.max_version)
    return badFrame(
        {.code = Code::Unsupported,
         .message = fmt::format("{} chose protocol version {}, which wasn't offered", name(), reply->version())});
  remote_.name = reply->name();
  remote_.peer = true;
  remote_.node_id = reply->node_id();
  remote_.map_version = reply->map_version();
  remote_.version = static_cast<std::uint8_t>(reply->version());
  becomeOpen();
}

// Says why before it hangs up.
void Connection::reject(const Error& why) {
  if (options_.metrics != nullptr && !options_.refusal) options_.metrics->bad_hellos.add();
  std::vector<std::byte> body;
  wire::FrameHeader header = headerOf(wire::MessageType::Failure);
  header.request_id = header_.request_id;
  if (wire::serialize(wire::toMessage(why), body) && enqueue(header, body, {}, {})) {
    ConnectionHandler* const handler = std::exchange(handler_, nullptr);
    drain();
    if (handler != nullptr) handler->closed(why);
    return;
  }
  end(&why);
}

void Connection::becomeOpen() {
  state_ = State::Open;
  if (options_.metrics != nullptr) options_.metrics->opened.add();
  armTimer();
  handler_->opened(remote_);
}

}  // namespace forebay::io
