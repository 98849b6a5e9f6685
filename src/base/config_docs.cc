// What a schema says in words: for messages, for `config check` and for the documentation.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/config.h"
#include "base/config_values.h"

namespace forebay::config {
namespace {

std::string quotedList(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", item);
  return text;
}

std::string bounds(const Key& key) {
  const auto number = [&](std::uint64_t n) {
    if (key.type == Type::Duration) return durationText(Duration{static_cast<std::int64_t>(n)});
    return key.type == Type::Integer ? std::to_string(n) : sizeText(n);
  };
  std::string text;
  if (key.least > 0 && key.most < UINT64_MAX) {
    text = fmt::format(" from {} to {}", number(key.least), number(key.most));
  } else if (key.least > 0) {
    text = fmt::format(" of at least {}", number(key.least));
  } else if (key.most < UINT64_MAX) {
    text = fmt::format(" of at most {}", number(key.most));
  }
  return text + (key.power_of_two ? ", a power of two" : "");
}

// '|' would end a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string safe;
  for (char c : text) safe += c == '|' ? std::string("\\|") : std::string(1, c);
  return safe;
}

std::string defaultText(const Key& key) {
  if (!key.initial_note.empty()) return key.initial_note;
  if (key.required) return "required";
  if (key.initial.empty()) return "none";
  const bool bare = key.type == Type::Bool || key.type == Type::Integer;
  return fmt::format(fmt::runtime(bare ? "`{}`" : "`\"{}\"`"), key.initial);
}

}  // namespace

std::string allowedText(const Key& key) {
  switch (key.type) {
    case Type::Bool:
      return "true or false";
    case Type::Integer:
      return fmt::format("a whole number{}{}", key.unit.empty() ? "" : " of " + key.unit, bounds(key));
    case Type::Size:
      return fmt::format("a size such as \"4GiB\"{}", bounds(key));
    case Type::Amount:
      return fmt::format("a size such as \"4GiB\"{}, or a percentage such as \"25%\"", bounds(key));
    case Type::Duration:
      return fmt::format("a duration such as \"30s\"{}", bounds(key));
    case Type::Enum:
      return fmt::format("one of {}", quotedList(key.allowed));
    case Type::List:
      return "a list of strings";
    case Type::Secret:
      return "a string, kept secret";
    case Type::String:
      break;
  }
  return key.form.empty() ? "a string" : key.form;
}

std::string valueText(const Value& value) {
  if (value.type == Type::Size) return sizeText(std::get<std::uint64_t>(value.data));
  return std::visit(
      Overloaded{
          [](bool b) { return std::string(b ? "true" : "false"); },
          [](std::uint64_t n) { return std::to_string(n); },
          [](const Amount& a) { return a.percent != 0 ? fmt::format("{}%", a.percent) : sizeText(a.bytes); },
          [](Duration d) { return durationText(d); },
          [](const std::string& text) { return text; },
          [](const std::vector<std::string>& items) { return fmt::format("{}", fmt::join(items, ",")); },
          [](const Secret& secret) { return fmt::format("{}", secret); },
      },
      value.data);
}

std::vector<Effective> effective(const Document& document) {
  std::vector<Effective> rows;
  for (const Section& section : document.sections) {
    for (const auto& [name, value] : section.values) {
      const std::string text = valueText(value);
      if (text.empty()) continue;
      rows.push_back(
          {.key = fmt::format("{}{}{}.{}", section.table, section.label.empty() ? "" : ".", section.label, name),
           .value = text,
           .from = value.from});
    }
  }
  return rows;
}

std::string documentation(const Schema& schema, std::string_view preamble) {
  std::string out(preamble);
  for (const Table& table : schema.tables) {
    out += table.many ? fmt::format("\n## [[{}]]\n\n{}\n\n", table.name, table.effect)
                      : fmt::format("\n## [{}]\n\n{}\n\n", table.name, table.effect);
    out += "| Key | Type and allowed values | Default | Effect |\n|---|---|---|---|\n";
    for (const Key& key : table.keys) {
      std::string effect = key.effect;
      if (!key.not_yet.empty()) effect += fmt::format(" Not in this version: {}.", quotedList(key.not_yet));
      out += fmt::format("| `{}` | {} | {} | {} |\n", key.name, cell(allowedText(key)), cell(defaultText(key)),
                         cell(effect));
    }
  }
  return out;
}

}  // namespace forebay::config
