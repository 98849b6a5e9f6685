#include "fake_origin/faults.h"

#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "fake_origin/json.h"
#include "fake_origin/range.h"

namespace forebay::fake {
namespace json = boost::json;

namespace {

constexpr std::array<std::pair<std::string_view, Op>, kOps> kOpNames{{{"get", Op::Get},
                                                                      {"head", Op::Head},
                                                                      {"list", Op::List},
                                                                      {"put", Op::Put},
                                                                      {"delete", Op::Delete},
                                                                      {"container", Op::Container},
                                                                      {"other", Op::Other}}};

constexpr std::array<std::pair<std::string_view, FaultKind>, 12> kKindNames{{
    {"status", FaultKind::Status},
    {"cut", FaultKind::Cut},
    {"reset", FaultKind::Reset},
    {"content_length", FaultKind::ContentLength},
    {"content_range", FaultKind::ContentRange},
    {"ignore_range", FaultKind::IgnoreRange},
    {"corrupt", FaultKind::Corrupt},
    {"hang", FaultKind::Hang},
    {"drip", FaultKind::Drip},
    {"latency", FaultKind::Latency},
    {"change", FaultKind::Change},
    {"delete", FaultKind::Delete},
}};

std::string_view kindName(FaultKind kind) {
  for (const auto& [name, value] : kKindNames)
    if (value == kind) return name;
  return "?";
}

Status readKind(std::string_view name, Fault& fault) {
  for (const auto& [known, kind] : kKindNames) {
    if (known != name) continue;
    fault.kind = kind;
    return {};
  }
  return fail(Code::InvalidArgument, fmt::format("action type '{}' is unknown; see tests/fake_origin/README.md", name));
}

Status checkFault(const Fault& fault) {
  const bool needs_ms = fault.kind == FaultKind::Drip || fault.kind == FaultKind::Latency;
  if (needs_ms && fault.ms == 0) return fail(Code::InvalidArgument, "drip and latency need ms > 0");
  if (fault.kind == FaultKind::Drip && fault.bytes.value_or(0) == 0)
    return fail(Code::InvalidArgument, "drip needs bytes > 0");
  const bool needs_delta = fault.kind == FaultKind::ContentLength || fault.kind == FaultKind::ContentRange;
  if (needs_delta && fault.delta == 0) return fail(Code::InvalidArgument, "this action needs a delta that isn't 0");
  if (fault.status < 400 || fault.status > 599) return fail(Code::InvalidArgument, "status must be 400 to 599");
  return {};
}

Result<Fault> parseFault(const json::value& value) {
  JsonReader reader = TRY(JsonReader::of(value, "action"));
  Fault fault;
  const std::string type = TRY(reader.text("type", ""));
  TRY(readKind(type, fault));
  fault.status = static_cast<int>(TRY(reader.number("status", 503, 999)));
  fault.code = TRY(reader.text("code", ""));
  fault.retry_after = TRY(reader.text("retry_after", ""));
  fault.retry_after_header = TRY(reader.text("retry_after_header", "Retry-After"));
  if (reader.has("bytes")) fault.bytes = TRY(reader.number("bytes", 0));
  fault.delta = TRY(reader.signedNumber("delta", 0));
  fault.ms = static_cast<std::uint32_t>(TRY(reader.number("ms", 0, 3'600'000)));
  TRY(reader.finish());
  TRY(checkFault(fault));
  return fault;
}

}  // namespace

std::string_view opName(Op op) {
  return kOpNames[static_cast<std::size_t>(op)].first;
}

std::optional<Op> opNamed(std::string_view name) {
  for (const auto& [known, op] : kOpNames)
    if (known == name) return op;
  return std::nullopt;
}

Result<FaultRule> parseFaultRule(const json::value& value) {
  JsonReader reader = TRY(JsonReader::of(value, "fault rule"));
  FaultRule rule;
  const std::string op = TRY(reader.text("op", ""));
  if (!op.empty()) {
    rule.op = opNamed(op);
    if (!rule.op)
      return fail(Code::InvalidArgument,
                  fmt::format("op '{}' is unknown: get, head, list, put, delete, container or other", op));
  }
  rule.name = TRY(reader.text("name", "*"));
  rule.skip = TRY(reader.number("skip", 0));
  rule.every = TRY(reader.number("every", 1));
  rule.next = TRY(reader.number("next", 0));
  rule.seed = TRY(reader.number("seed", 1));
  const double probability = TRY(reader.real("probability", 1));
  if (rule.every == 0 || probability < 0 || probability > 1)
    return fail(Code::InvalidArgument, "fault rule: every must be at least 1, probability 0 to 1");
  rule.per_million = static_cast<std::uint32_t>(std::lround(probability * 1'000'000));
  const json::value* action = reader.take("action");
  if (action == nullptr) return fail(Code::InvalidArgument, "fault rule: action is missing");
  rule.fault = TRY(parseFault(*action));
  TRY(reader.finish());
  return rule;
}

json::object toJson(const FaultRule& rule) {
  return {{"id", rule.id},       {"op", rule.op ? opName(*rule.op) : "*"},
          {"name", rule.name},   {"matched", rule.matched},
          {"fired", rule.fired}, {"type", kindName(rule.fault.kind)}};
}

Result<std::uint64_t> Faults::add(FaultRule rule) {
  if (rules_.size() == kMaxRules) return fail(Code::Busy, "there are 1000 fault rules already; DELETE /faults first");
  rule.id = next_id_++;
  const std::uint64_t seed = rule.seed;
  rules_.push_back({std::move(rule), Random(seed)});
  return rules_.back().rule.id;
}

std::optional<Fault> Faults::match(Op op, std::string_view path) {
  for (auto& [rule, random] : rules_) {
    if (rule.op && *rule.op != op) continue;
    if (!globMatches(rule.name, path)) continue;
    const std::uint64_t nth = ++rule.matched;
    if (rule.next != 0 && rule.fired == rule.next) continue;
    if (nth <= rule.skip || (nth - rule.skip) % rule.every != 0) continue;
    if (!random.chance(rule.per_million)) continue;
    ++rule.fired;
    return rule.fault;
  }
  return std::nullopt;
}

}  // namespace forebay::fake
