#include "base/config_toml.h"

#include <exception>
#include <fmt/format.h>

#include "base/json_writer.h"

// toml++ 3.3 takes some mistakes in a file for impossible: "[" at the end of a line fails an assertion, and with NDEBUG
// is undefined (found by config_fuzz). So its assertions throw, in every build, and end as what they are: a wrong file.
namespace forebay::config {
namespace {
[[noreturn]] void throwUnexpected();
}
}  // namespace forebay::config
#undef NDEBUG
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#define TOML_ASSERT(expr) (static_cast<bool>(expr) ? void() : ::forebay::config::throwUnexpected())
#include <toml++/toml.h>

namespace forebay::config {
namespace {

using Kind = TomlNode::Kind;

struct Unexpected : std::exception {};
void throwUnexpected() {
  throw Unexpected();
}

// The library's tables of characters run into undefined behaviour for U+00A1 to U+0499 outside of strings and comments,
// and while it says what is wrong with a file also inside of them (found by config_fuzz). So it never sees them: each
// byte above ASCII becomes a private-use character, U+E000 + byte, and a byte again afterwards.
constexpr unsigned char kFirst = 0xEE, kSecond = 0x80;  // UTF-8 of U+E000 + byte: EE 82|83 80..BF

std::string hidden(std::string_view text) {
  std::string made;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      made += c;
    } else {
      made += {static_cast<char>(kFirst), static_cast<char>(kSecond | (byte >> 6)),
               static_cast<char>(0x80 | (byte & 0x3F))};
    }
  }
  return made;
}

std::string shown(std::string_view text) {
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    if (byte(i) == kFirst && (byte(i + 1) == (kSecond | 2U) || byte(i + 1) == (kSecond | 3U))) {
      made += static_cast<char>(((byte(i + 1) & 3U) << 6) | (byte(i + 2) & 0x3FU));
      i += 2;
    } else {
      made += text[i];
    }
  }
  return made;
}

// Of a message, which may hold a part of a character.
std::string asQuestionMarks(std::string_view message) {
  std::string made = shown(message);
  for (char& c : made) c = static_cast<unsigned char>(c) >= 0x80 ? '?' : c;
  return made;
}

TomlNode convert(const toml::node& node);

TomlNode convertTable(const toml::table& table) {
  TomlNode made;
  made.kind = Kind::Table;
  for (const auto& [key, value] : table) {
    TomlNode member = convert(value);
    // A table made by a dotted header has no place of its own; its key has.
    if (member.line == 0) member.line = static_cast<int>(key.source().begin.line);
    member.key = shown(key.str());
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
    if (texts) made.list.push_back(shown(item.as_string()->get()));
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
    made.text = shown(text->get());
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

// Exceptions end here: none crosses the module's border.
Result<TomlNode> parseToml(std::string_view text, const std::string& file) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // as some editors start a file
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (!isUtf8(text)) return fail(Code::InvalidArgument, fmt::format("{}: not TOML: not UTF-8", file));
  try {
    return convert(toml::parse(hidden(text), file));
  } catch (const toml::parse_error& error) {
    return fail(Code::InvalidArgument, fmt::format("{}:{}: not TOML: {}", file, error.source().begin.line,
                                                   asQuestionMarks(error.description())));
  } catch (const Unexpected&) {
    return fail(Code::InvalidArgument,
                fmt::format("{}: not TOML: look for a table's header or a key that isn't closed on its line", file));
  }
}

}  // namespace forebay::config
