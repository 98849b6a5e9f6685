// A mount's backing files, by the helper: BackingFiles says what callers may count on.
//
//   open        answered by the helper -> its number, or the kernel's refusal
//               nothing came in time, or the connection broke -> away, -EAGAIN
//   away        opens get -EAGAIN at once; the keeper tries to connect, 250 ms after, then 500 ms, ... 5 s
//   connected   again: closes that waited are sent first
//
// Threading: any thread; the destructor when nobody calls any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "io/helper/channel.h"
#include "io/privileged.h"

namespace forebay::io::helper {

class HelperBackings final : public BackingFiles {
 public:
  HelperBackings(std::string path, int device);
  ~HelperBackings() override;

  int open(int file) override;
  void close(std::uint32_t id) override;
  bool available() const override { return available_.load(std::memory_order_relaxed); }
  std::string note() const override;

 private:
  using Socket = std::shared_ptr<const Descriptor>;

  void keep();
  // Nothing where the keeper is to end.
  bool waitForWork(const Socket& socket, Duration at_most);
  void reconnect();
  void sendCloses();
  Socket socket() const;
  // For what isn't an answer: the connection is of no use any more.
  void lost(const Socket& socket, const Error& error);
  void wake() const;

  const std::string path_;
  const int device_;
  const Descriptor wake_;
  std::mutex asking_;  // one question at a time on a connection
  std::atomic<bool> available_{false}, stopping_{false};
  mutable std::mutex mutex_;
  Socket socket_;
  std::string why_away_, refused_;
  std::deque<std::uint32_t> to_close_;
  std::thread keeper_;
};

}  // namespace forebay::io::helper
