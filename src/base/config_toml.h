// A TOML file as a plain tree, so that the TOML library stays in one file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace forebay::config {

struct TomlNode {
  enum class Kind : std::uint8_t { Bool, Integer, Text, TextList, Table, Tables, Other };
  Kind kind = Kind::Other;
  int line = 0;
  bool boolean = false;
  std::int64_t integer = 0;
  std::string text;
  std::vector<std::string> list;
  std::string key;                // of a member of a table
  std::vector<TomlNode> members;  // of a table, sorted by key
  std::vector<TomlNode> items;    // of an array of tables
};

// InvalidArgument: "FILE:LINE: not TOML: ...".
Result<TomlNode> parseToml(std::string_view text, const std::string& file);

}  // namespace forebay::config
