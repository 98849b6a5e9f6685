// What was asked and what was sent, exactly: tests assert on it ("origin bytes / distinct bytes is 1.00").
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "fake_origin/faults.h"
#include "fake_origin/range.h"

namespace forebay::fake {

struct RequestRecord {
  Op op = Op::Other;
  std::string path;  // "container/name"
  std::string etag;  // the version that a get's bytes are of
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // of the body that was meant to be sent
  std::uint64_t sent = 0;
  int status = 0;
  bool faulted = false;
  bool if_match = false;
};

class Stats {
 public:
  static constexpr std::size_t kMaxRecords = 10'000;  // older ones are forgotten; counters never are

  void began();                             // a request's head is complete
  void ended(const RequestRecord& record);  // its answer is sent, or its connection is gone
  void connected() { ++connections_; }
  void refused() { ++auth_failures_; }
  void proxied() { ++proxied_; }
  void malformed() { ++malformed_; }
  // Counters start again from zero; what is in flight stays counted as in flight.
  void reset();

  boost::json::object toJson() const;
  const std::deque<RequestRecord>& records() const { return records_; }

 private:
  std::array<std::uint64_t, kOps> by_op_{};
  std::map<int, std::uint64_t> by_status_;
  std::uint64_t get_bytes_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t faults_ = 0;
  std::uint64_t auth_failures_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t proxied_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t in_flight_ = 0;
  std::uint64_t max_in_flight_ = 0;
  std::map<std::string, IntervalSet> distinct_;  // by path and version
  std::deque<RequestRecord> records_;
};

boost::json::object toJson(const RequestRecord& record);

}  // namespace forebay::fake
