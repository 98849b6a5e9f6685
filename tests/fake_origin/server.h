// Connections: takes requests from sockets, gives them to a Handler, and sends the answers, in the reactor's one
// thread.
//
// File bodies go by sendfile, so a GB costs about 0.15 CPU seconds here: the fake runs beside what it tests. A disk
// that must be read blocks the thread; trees to be served fast belong into the page cache.
//
// Bounds: 10,000 connections; a head of 64 KiB; a body of `max_body_bytes`, in memory (in a memfd from 256 KiB on).
// A client that breaks the protocol gets 400 and its connection closed.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "fake_origin/dialect.h"
#include "fake_origin/http.h"
#include "fake_origin/stats.h"
#include "io/reactor.h"

namespace forebay::fake {

// What goes wrong while an answer is sent.
struct Disruption {
  std::optional<std::uint64_t> stop_after;  // bytes of the body, then the connection ends
  bool reset = false;                       // by RST
  bool hang = false;                        // nothing is sent at all
  std::int64_t claim_delta = 0;             // what Content-Length is wrong by; the connection ends after the body
  std::uint64_t drip_bytes = 0;             // 0: as fast as it goes
  Duration drip_every{0};
};

// One request and its answer.
struct Exchange {
  Head head;
  ReceivedBody body;
  Target target;
  bool refused = false;  // `answer` is an error already; the body is read and dropped
  Answer answer;
  Duration delay{0};
  Disruption disruption;
  RequestRecord record;
};

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void begin(Exchange& exchange) = 0;   // the head is complete
  virtual void answer(Exchange& exchange) = 0;  // the body is complete: fill in the answer
  virtual void ended(Exchange& exchange) = 0;   // sent, or the connection is gone
  virtual void connected() {}
  virtual void malformed() {}
  virtual const Settings& settings() const = 0;  // rate and idle timeout
};

// Bytes per second for all connections together; bursts of 5 ms, at least one piece of 256 KiB.
class TokenBucket {
 public:
  // How many of `want` bytes may go now; 0: none before readyAt().
  std::uint64_t take(std::uint64_t want, std::uint64_t rate, TimePoint now);
  void giveBack(std::uint64_t bytes) { tokens_ += static_cast<double>(bytes); }
  TimePoint readyAt(std::uint64_t rate, TimePoint now) const;

 private:
  double tokens_ = 0;
  TimePoint filled_{};
};

class Connection;

class Server {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    std::uint64_t max_body_bytes = 2ULL << 30;
  };
  static constexpr std::size_t kMaxConnections = 10'000;

  Server(io::Reactor& reactor, Handler& handler) : reactor_(reactor), handler_(handler) {}
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  Result<std::uint16_t> listen(const Options& options);  // the port

 private:
  friend class Connection;
  void acceptAll();
  void throttle(const std::shared_ptr<Connection>& connection);  // waits for tokens, in order
  void wakeThrottled();

  io::Reactor& reactor_;
  Handler& handler_;
  std::uint64_t max_body_bytes_ = 0;
  int listener_ = -1;
  std::unordered_map<int, std::shared_ptr<Connection>> connections_;
  TokenBucket bucket_;
  std::deque<std::weak_ptr<Connection>> throttled_;
  io::TimerId throttle_timer_ = 0;
};

}  // namespace forebay::fake
