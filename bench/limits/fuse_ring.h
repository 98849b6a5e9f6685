// The least that FUSE over io_uring (Linux 6.14) asks of a file system: for each CPU a thread that takes requests from
// the kernel's queue and answers them at once. For the empty file system; it knows nothing of Forebay's own.
#pragma once

#include <array>
#include <cstring>
#include <liburing.h>
#include <linux/fuse.h>
#include <memory>
#include <thread>
#include <unistd.h>
#include <vector>

#include "limits/measure.h"

namespace forebay::bench {

class FuseRing {
 public:
  // What the kernel shares with a place.
  struct Place {
    struct Header {
      std::array<std::byte, 128> message, operation;
      std::uint64_t flags, commit_id;
      std::uint32_t payload_size, padding;
      std::uint64_t reserved;
    };
    Header* header = nullptr;
    std::byte* payload = nullptr;
    std::array<iovec, 2> parts{};

    void answer(std::uint64_t unique, int error, Bytes bytes) const {
      fuse_out_header out{};
      out.len = static_cast<std::uint32_t>(sizeof out + bytes.size());
      out.error = -error;
      out.unique = unique;
      std::memcpy(header->message.data(), &out, sizeof out);
      if (!bytes.empty()) std::memcpy(payload, bytes.data(), bytes.size());
      header->payload_size = static_cast<std::uint32_t>(bytes.size());
    }
  };

  FuseRing(int device, unsigned depth, std::size_t largest)
      : device_(device),
        depth_(depth),
        stride_(largest + kPage),
        cpus_(possibleCpus()),
        memory_(std::size_t{cpus_} * depth * stride_) {}

  // Until it is unmounted. `answer(place)` answers.
  template <class Answer>
  void serve(const Answer& answer) {
    std::vector<std::thread> threads;
    for (unsigned queue = 0; queue < cpus_; ++queue) threads.emplace_back([&, queue] { serveQueue(queue, answer); });
    for (auto& thread : threads) thread.join();
  }

 private:
  static constexpr std::size_t kPage = 4'096;
  static constexpr std::uint32_t kRegister = 1, kCommitAndFetch = 2;

  static unsigned possibleCpus() {
    unsigned first = 0, last = 0;
    FILE* file = std::fopen("/sys/devices/system/cpu/possible", "re");
    if (file == nullptr) die("the number of CPUs can't be read");
    const int fields = std::fscanf(file, "%u-%u", &first, &last);  // NOLINT(cert-err34-c)
    std::fclose(file);
    return fields == 2 ? last + 1 : 1;
  }

  void submit(io_uring& uring, unsigned queue, Place& place, std::uint32_t command) const {
    struct Command {
      std::uint64_t flags, commit_id;
      std::uint16_t queue;
    };
    io_uring_sqe* sqe = io_uring_get_sqe(&uring);
    std::memset(sqe, 0, 2 * sizeof *sqe);
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = device_;
    sqe->cmd_op = command;
    Command own{.flags = 0, .commit_id = 0, .queue = static_cast<std::uint16_t>(queue)};
    if (command == kRegister) {
      sqe->addr = reinterpret_cast<std::uint64_t>(place.parts.data());
      sqe->len = 2;
    } else {
      own.commit_id = place.header->commit_id;
    }
    std::memcpy(sqe->cmd, &own, sizeof own);
    io_uring_sqe_set_data(sqe, &place);
  }

  template <class Answer>
  void serveQueue(unsigned queue, const Answer& answer) {
    io_uring uring{};
    io_uring_params params{};
    params.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (io_uring_queue_init_params(depth_, &uring, &params) != 0) die("no io_uring");
    std::vector<Place> places(depth_);
    for (unsigned i = 0; i < depth_; ++i) {
      std::byte* at = memory_.data() + ((std::size_t{queue} * depth_) + i) * stride_;
      Place& place = places[i];
      place.header = new (at) Place::Header{};
      place.payload = at + kPage;
      place.parts = {{{at, sizeof(Place::Header)}, {place.payload, stride_ - kPage}}};
      submit(uring, queue, place, kRegister);
    }
    for (unsigned gone = 0; gone < depth_;) {
      io_uring_cqe* cqe = nullptr;
      if (io_uring_submit_and_wait(&uring, 1) < 0 && errno != EINTR) break;
      while (io_uring_peek_cqe(&uring, &cqe) == 0) {
        const int result = cqe->res;
        auto& place = *static_cast<Place*>(io_uring_cqe_get_data(cqe));
        io_uring_cqe_seen(&uring, cqe);
        if (result < 0) {
          ++gone;  // unmounted
          continue;
        }
        answer(place);
        submit(uring, queue, place, kCommitAndFetch);
        if (place.header->payload_size >= 64 * kKiB) io_uring_submit(&uring);
      }
    }
    io_uring_queue_exit(&uring);
  }

  const int device_;
  const unsigned depth_;
  const std::size_t stride_;
  const unsigned cpus_;
  const Memory memory_;
};

}  // namespace forebay::bench
