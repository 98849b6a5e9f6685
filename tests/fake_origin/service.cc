#include "fake_origin/service.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <unistd.h>

namespace forebay::fake {
namespace {

// The segments of a body with the byte at `at` inverted: two pieces around a copied one.
Result<std::vector<Segment>> corrupted(const std::vector<Segment>& body, std::uint64_t at) {
  std::vector<Segment> result;
  for (const Segment& segment : body) {
    if (at >= segment.length) {
      at -= segment.length;
      result.push_back(segment);
      continue;
    }
    char byte = 0;
    if (segment.text) {
      byte = (*segment.text)[segment.offset + at];
    } else if (pread(*segment.file, &byte, 1, static_cast<off_t>(segment.offset + at)) != 1) {
      return failErrno("read the byte to be inverted", errno);
    }
    Segment first = segment;
    first.length = at;
    if (first.length > 0) result.push_back(first);
    result.push_back({.text = std::make_shared<const std::string>(1, static_cast<char>(~byte)),
                      .file = {},
                      .offset = 0,
                      .length = 1});
    Segment rest = segment;
    rest.offset += at + 1;
    rest.length -= at + 1;
    if (rest.length > 0) result.push_back(rest);
    at = ~std::uint64_t{0};  // done: further than any segment
  }
  return result;
}

void shiftContentRange(Answer& answer, std::int64_t delta) {
  for (auto& [name, value] : answer.headers) {
    unsigned long long first = 0, last = 0, size = 0;
    if (name != "Content-Range" || std::sscanf(value.c_str(), "bytes %llu-%llu/%llu", &first, &last, &size) != 3)
      continue;
    value = fmt::format("bytes {}-{}/{}", static_cast<std::int64_t>(first) + delta,
                        static_cast<std::int64_t>(last) + delta, size);
  }
}

}  // namespace

std::int64_t World::nowSeconds() const {
  return io::Reactor::wallNs() / 1'000'000'000 + settings.clock_offset_s;
}

void Service::refuse(Exchange& exchange, const Refusal& refusal) const {
  exchange.refused = true;
  exchange.answer = dialect_->refuse(exchange.head, refusal);
}

void Service::begin(Exchange& exchange) {
  world_.stats.began();
  if (exchange.head.through_proxy) world_.stats.proxied();
  const auto target = dialect_->locate(exchange.head);
  if (!target) {
    exchange.record.path = exchange.head.path;
    return refuse(exchange, target.error());
  }
  exchange.target = *target;
  exchange.record.op = target->op;
  exchange.record.path = target->container + "/" + target->name;
  exchange.record.if_match = exchange.head.hasHeader("if-match");
  if (const auto refusal = dialect_->authenticate(exchange.head, *target, context())) {
    world_.stats.refused();
    refuse(exchange, *refusal);
  }
}

void Service::answer(Exchange& exchange) {
  exchange.delay = std::chrono::milliseconds(world_.settings.latency_ms);
  std::optional<Fault> fault;
  if (!exchange.refused) fault = world_.faults.match(exchange.target.op, exchange.record.path);
  if (fault) before(*fault, exchange);
  if (!exchange.refused) {
    Context now = context();
    exchange.answer = dialect_->serve(exchange.head, exchange.target, exchange.body, now);
  }
  if (fault) after(*fault, exchange);
  exchange.body = {};
  exchange.record.faulted = fault.has_value();
  exchange.record.status = exchange.answer.status;
  exchange.record.offset = exchange.answer.content_offset;
  exchange.record.etag = exchange.answer.content_etag;
  dialect_->stamp(exchange.head, next_request_id_++, exchange.answer);
}

void Service::before(const Fault& fault, Exchange& exchange) {
  const Target& target = exchange.target;
  switch (fault.kind) {
    case FaultKind::Status: {
      const std::string code = fault.code.empty() ? std::string(dialect_->usualCode(fault.status)) : fault.code;
      refuse(exchange, {fault.status, code, "This failure was asked for."});
      if (!fault.retry_after.empty()) exchange.answer.set(fault.retry_after_header, fault.retry_after);
      break;
    }
    case FaultKind::Change:
      world_.objects.change(target.container, target.name, fault.bytes, world_.nowSeconds());
      break;
    case FaultKind::Delete:
      world_.objects.erase(target.container, target.name);
      break;
    case FaultKind::IgnoreRange:
      std::erase_if(exchange.head.headers,
                    [](const auto& item) { return item.first == "range" || item.first == "x-ms-range"; });
      break;
    default:
      break;
  }
}

void Service::after(const Fault& fault, Exchange& exchange) const {
  Answer& answer = exchange.answer;
  Disruption& disruption = exchange.disruption;
  switch (fault.kind) {
    case FaultKind::Reset:
      disruption.reset = true;
      [[fallthrough]];
    case FaultKind::Cut:
      disruption.stop_after = fault.bytes.value_or(0);
      break;
    case FaultKind::ContentLength:
      disruption.claim_delta = fault.delta;
      break;
    case FaultKind::ContentRange:
      shiftContentRange(answer, fault.delta);
      break;
    case FaultKind::Corrupt: {
      auto body = corrupted(answer.body, fault.bytes.value_or(0));
      if (body) answer.body = std::move(*body);
      break;
    }
    case FaultKind::Hang:
      disruption.hang = true;
      break;
    case FaultKind::Drip:
      disruption.drip_bytes = fault.bytes.value_or(1);
      disruption.drip_every = std::chrono::milliseconds(fault.ms);
      break;
    case FaultKind::Latency:
      exchange.delay += std::chrono::milliseconds(fault.ms);
      break;
    case FaultKind::Status:
    case FaultKind::Change:
    case FaultKind::Delete:
    case FaultKind::IgnoreRange:
      break;
  }
}

void Service::ended(Exchange& exchange) {
  world_.stats.ended(exchange.record);
}

}  // namespace forebay::fake
