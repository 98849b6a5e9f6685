#include "fake_origin/json.h"

#include <fmt/format.h>

namespace forebay::fake {

Result<JsonReader> JsonReader::of(const boost::json::value& value, std::string_view what) {
  if (!value.is_object()) return fail(Code::InvalidArgument, fmt::format("{}: must be a JSON object", what));
  return JsonReader(value.get_object(), what);
}

std::unexpected<Error> JsonReader::wrong(std::string_view key, std::string_view wanted) const {
  return fail(Code::InvalidArgument, fmt::format("{}: {} must be {}", what_, key, wanted));
}

const boost::json::value* JsonReader::take(std::string_view key) {
  known_.emplace(key);
  return object_->if_contains(key);
}

Result<std::string> JsonReader::text(std::string_view key, std::string_view otherwise) {
  const auto* value = take(key);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) return wrong(key, "text");
  return std::string(value->get_string());
}

Result<std::uint64_t> JsonReader::number(std::string_view key, std::uint64_t otherwise, std::uint64_t most) {
  const auto* value = take(key);
  if (value == nullptr) return otherwise;
  boost::system::error_code error;
  const auto result = value->to_number<std::uint64_t>(error);
  if (error || result > most) return wrong(key, fmt::format("a whole number from 0 to {}", most));
  return result;
}

Result<std::int64_t> JsonReader::signedNumber(std::string_view key, std::int64_t otherwise) {
  const auto* value = take(key);
  if (value == nullptr) return otherwise;
  boost::system::error_code error;
  const auto result = value->to_number<std::int64_t>(error);
  if (error) return wrong(key, "a whole number");
  return result;
}

Result<double> JsonReader::real(std::string_view key, double otherwise) {
  const auto* value = take(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) return wrong(key, "a number");
  return value->to_number<double>();
}

Result<bool> JsonReader::flag(std::string_view key, bool otherwise) {
  const auto* value = take(key);
  if (value == nullptr) return otherwise;
  if (!value->is_bool()) return wrong(key, "true or false");
  return value->get_bool();
}

Status JsonReader::finish() const {
  for (const auto& item : *object_)
    if (!known_.contains(std::string_view(item.key())))
      return fail(Code::InvalidArgument, fmt::format("{}: key '{}' is unknown", what_, std::string_view(item.key())));
  return {};
}

}  // namespace forebay::fake
