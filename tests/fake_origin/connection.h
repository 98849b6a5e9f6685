// One client's connection: a state machine over a non-blocking socket. Internal to server.h.
#pragma once

#include <memory>
#include <string>

#include "fake_origin/body.h"
#include "fake_origin/server.h"

namespace forebay::fake {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Server& server, int fd) : server_(server), fd_(fd) {}
  ~Connection();

  Status start();
  void close();
  void resume();  // tokens are there again

 private:
  enum class State { Head, Body, Waiting, Sending, Closed };

  void onEvents(std::uint32_t events);
  void readMore();
  void advance();  // as far as the input goes
  bool takeHead();
  bool takeBody();
  void refuseMalformed(const Error& error);
  void requestComplete();
  void startAnswer();
  void writeHead(std::uint64_t claimed_length);
  void send();
  bool sendHead();
  bool sendBody(std::uint64_t& budget);  // false: wait, or the connection is gone
  std::uint64_t allowance(std::uint64_t bytes);
  ssize_t sendPiece(const Segment& segment, std::uint64_t most);
  void moved(std::uint64_t bytes);
  void answerSent();
  void after(Duration delay, void (Connection::*then)());
  void want(std::uint32_t events);

  Server& server_;
  int fd_;
  State state_ = State::Head;
  std::uint32_t interest_ = 0;
  io::TimerId timer_ = 0;  // idle, delay or drip: never two of them at once
  std::string input_;
  std::unique_ptr<Exchange> exchange_;
  BodyReceiver receiver_;
  std::string head_;  // of the answer, what is still to be sent
  std::size_t segment_ = 0;
  std::uint64_t segment_sent_ = 0;
  std::uint64_t body_left_ = 0;
  std::uint64_t drip_left_ = 0;
  bool close_after_ = false;
};

}  // namespace forebay::fake
