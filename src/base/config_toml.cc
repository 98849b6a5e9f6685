#include "base/config_toml.h"

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#include <toml++/toml.h>

namespace forebay::config {
namespace {

using Kind = TomlNode::Kind;

TomlNode convert(const toml::node& node);

TomlNode convertTable(const toml::table& table) {
  TomlNode made;
  made.kind = Kind::Table;
  for (const auto& [key, value] : table) {
    TomlNode member = convert(value);
    // A table made by a dotted header has no place of its own; its key has.
    if (member.line == 0) member.line = static_cast<int>(key.source().begin.line);
    member.key = key.str();
    made.members.push_back(std::move(member));
  }
  return made;
}

// An array is a list of strings, or of tables; anything else (numbers, a mixture) no key takes.
TomlNode convertArray(const toml::array& array) {
  TomlNode made;
  const bool tables = !array.empty() && array.is_homogeneous(toml::node_type::table);
  const bool texts = array.empty() || array.is_homogeneous(toml::node_type::string);
  made.kind = tables ? Kind::Tables : texts ? Kind::TextList : Kind::Other;
  for (const toml::node& item : array) {
    if (tables) made.items.push_back(convert(item));
    if (texts) made.list.push_back(item.as_string()->get());
  }
  return made;
}

TomlNode convert(const toml::node& node) {
  TomlNode made;
  if (const auto* table = node.as_table()) {
    made = convertTable(*table);
  } else if (const auto* array = node.as_array()) {
    made = convertArray(*array);
  } else if (const auto* text = node.as_string()) {
    made.kind = Kind::Text;
    made.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    made.kind = Kind::Integer;
    made.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    made.kind = Kind::Bool;
    made.boolean = boolean->get();
  }
  made.line = static_cast<int>(node.source().begin.line);
  return made;
}

}  // namespace

Result<TomlNode> parseToml(std::string_view text, const std::string& file) {
  const toml::parse_result result = toml::parse(text, file);
  if (!result) {
    const toml::parse_error& error = result.error();
    return fail(Code::InvalidArgument,
                fmt::format("{}:{}: not TOML: {}", file, error.source().begin.line, error.description()));
  }
  return convert(result.table());
}

}  // namespace forebay::config
