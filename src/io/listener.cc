#include "io/listener.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

namespace forebay::io {
namespace {

constexpr int kAcceptsPerRound = 64;
constexpr std::size_t kRefusing = 64;  // connections that are open only to be told why they can't be
constexpr Duration kRest = 100ms;      // out of descriptors: long enough for some to come back, short for who waits

}  // namespace

Listener::Listener(Reactor& reactor, ListenerOptions options, std::function<void(Accepted)> accepted)
    : reactor_(reactor), options_(std::move(options)), accepted_(std::move(accepted)) {}

Result<std::unique_ptr<Listener>> Listener::create(Reactor& reactor, const Address& address, ListenerOptions options,
                                                   std::function<void(Accepted)> accepted) {
  std::unique_ptr<Listener> listener(new Listener(reactor, std::move(options), std::move(accepted)));
  listener->fd_ = TRY(startListen(address, listener->options_.backlog));
  listener->address_ = address.isUnix() ? address : TRY(localAddress(listener->fd_.get()));
  TRY(reactor.watch(listener->fd_.get(), EPOLLIN, [l = listener.get()](std::uint32_t) { l->acceptSome(); }));
  return listener;
}

Listener::~Listener() {
  reactor_.cancel(rest_);
  if (!fd_.valid()) return;
  reactor_.unwatch(fd_.get());
  if (address_.isUnix()) unlink(address_.path.c_str());
}

void Listener::acceptSome() {
  for (int i = 0; i < kAcceptsPerRound; ++i) {
    Descriptor fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) {
      if (errno == EAGAIN) return;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return rest();
      continue;  // that connection ended while it waited: the next one
    }
    PeerIdentity identity = identify(fd.get());
    if (!allowed(identity)) {
      refuse(identity, "it is another user's");
    } else if (connections() >= options_.max_connections) {
      refuse(identity, "there are too many");
      if (refusing_->load(std::memory_order_relaxed) >= kRefusing) continue;
      Error why{Code::Busy,
                fmt::format("{} connections are open, as many as may be (node.max_connections)", connections()), 500};
      accepted_({.fd = std::move(fd),
                 .identity = std::move(identity),
                 .ticket = ticket(refusing_),
                 .refusal = std::move(why)});
    } else {
      accepted_({.fd = std::move(fd), .identity = std::move(identity), .ticket = ticket(open_), .refusal = {}});
    }
  }
}

void Listener::rest() {
  log::warn("listener", "{}: no descriptors left: accepting rests for {} ms", address_.text(), toMs(kRest));
  if (const Status off = reactor_.modify(fd_.get(), 0); !off) return;
  rest_ = reactor_.after(kRest, [this] {
    if (const Status on = reactor_.modify(fd_.get(), EPOLLIN); !on)
      log::error("listener", "{}: {}", address_.text(), on.error().text());
  });
}

bool Listener::allowed(const PeerIdentity& identity) const {
  if (!identity.is_unix || identity.uid == geteuid() || identity.uid == 0) return true;
  return std::ranges::find(options_.allowed_uids, identity.uid) != options_.allowed_uids.end();
}

void Listener::refuse(const PeerIdentity& identity, std::string_view why) {
  if (options_.metrics != nullptr) options_.metrics->refused_peers.add();
  // Logged at counts 1, 2, 4, 8, ...: whoever tries again and again can't fill the log.
  if (std::has_single_bit(++refused_))
    log::warn("listener", "{}: refused a connection from {}: {} ({} so far)", address_.text(), identity.text(), why,
              refused_);
}

std::shared_ptr<const void> Listener::ticket(const Count& of) {
  of->fetch_add(1, std::memory_order_relaxed);
  return {of.get(), [of](const void*) { of->fetch_sub(1, std::memory_order_relaxed); }};
}

}  // namespace forebay::io
