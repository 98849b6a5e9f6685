// Reads a JSON object key by key, strictly: a wrong type, a number out of bounds or a key that nobody asked for is an
// error that names it. For the admin port's small requests.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay::fake {

class JsonReader {
 public:
  static Result<JsonReader> of(const boost::json::value& value, std::string_view what);

  bool has(std::string_view key) const { return object_->contains(key); }
  const boost::json::value* take(std::string_view key);  // nullptr: not there

  Result<std::string> text(std::string_view key, std::string_view otherwise);
  Result<std::uint64_t> number(std::string_view key, std::uint64_t otherwise,
                               std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
  Result<std::int64_t> signedNumber(std::string_view key, std::int64_t otherwise);
  Result<double> real(std::string_view key, double otherwise);
  Result<bool> flag(std::string_view key, bool otherwise);
  Status finish() const;  // an error if a key was not asked for

 private:
  JsonReader(const boost::json::object& object, std::string_view what) : object_(&object), what_(what) {}
  std::unexpected<Error> wrong(std::string_view key, std::string_view wanted) const;

  const boost::json::object* object_;
  std::string what_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace forebay::fake
