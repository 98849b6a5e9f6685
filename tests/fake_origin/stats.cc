#include "fake_origin/stats.h"

#include <algorithm>

namespace forebay::fake {
namespace json = boost::json;

void Stats::began() {
  max_in_flight_ = std::max(max_in_flight_, ++in_flight_);
}

void Stats::ended(const RequestRecord& record) {
  --in_flight_;
  ++by_op_[static_cast<std::size_t>(record.op)];
  ++by_status_[record.status];
  body_bytes_ += record.sent;
  if (record.faulted) ++faults_;
  const bool content = record.op == Op::Get && (record.status == 200 || record.status == 206);
  if (content) {
    get_bytes_ += record.sent;
    distinct_[record.path + '\0' + record.etag].add(record.offset, record.offset + record.sent);
  }
  if (records_.size() == kMaxRecords) records_.pop_front();
  records_.push_back(record);
}

void Stats::reset() {
  const std::uint64_t running = in_flight_;
  *this = Stats();
  in_flight_ = max_in_flight_ = running;
}

json::object Stats::toJson() const {
  std::uint64_t requests = 0;
  json::object ops;
  for (std::size_t i = 0; i < kOps; ++i) {
    ops[opName(static_cast<Op>(i))] = by_op_[i];
    requests += by_op_[i];
  }
  json::object statuses;
  for (const auto& [status, count] : by_status_) statuses[std::to_string(status)] = count;
  std::uint64_t distinct = 0;
  for (const auto& [path, set] : distinct_) distinct += set.total();
  return {{"requests", requests},
          {"requests_by_op", std::move(ops)},
          {"requests_by_status", std::move(statuses)},
          {"get_bytes", get_bytes_},
          {"distinct_get_bytes", distinct},
          {"body_bytes", body_bytes_},
          {"faults", faults_},
          {"auth_failures", auth_failures_},
          {"malformed", malformed_},
          {"proxied", proxied_},
          {"connections", connections_},
          {"in_flight", in_flight_},
          {"max_in_flight", max_in_flight_}};
}

json::object toJson(const RequestRecord& record) {
  return {{"op", opName(record.op)}, {"path", record.path},       {"etag", record.etag},
          {"offset", record.offset}, {"length", record.length},   {"sent", record.sent},
          {"status", record.status}, {"faulted", record.faulted}, {"if_match", record.if_match}};
}

}  // namespace forebay::fake
