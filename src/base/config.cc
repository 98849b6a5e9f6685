#include "base/config.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <unistd.h>

#include "base/bytes.h"
#include "base/config_toml.h"
#include "base/config_values.h"

namespace forebay::config {
namespace {

constexpr std::size_t kMaxFile = 4 * kMiB;
constexpr std::size_t kMaxProblems = 20;
constexpr std::size_t kMaxShown = 80;  // of a wrong value, in a message

std::string shown(std::string_view value) {
  std::string text;
  for (char c : value.substr(0, kMaxShown)) text += c < ' ' || c == 0x7f ? '?' : c;
  return value.size() > kMaxShown ? text + "..." : text;
}

bool has(const std::vector<std::string>& items, std::string_view item) {
  return std::ranges::find(items, item) != items.end();
}

Status withinBounds(const Key& key, std::uint64_t number) {
  const bool fits = number >= key.least && number <= key.most && (!key.power_of_two || std::has_single_bit(number));
  if (!fits) return fail(Code::InvalidArgument, fmt::format("must be {}", allowedText(key)));
  return {};
}

Result<Data> enumFromText(const Key& key, std::string text) {
  if (has(key.allowed, text)) return Data(std::in_place_type<std::string>, std::move(text));
  if (has(key.not_yet, text)) {
    return fail(Code::Unsupported, fmt::format("not in this version of Forebay; allowed is {}", allowedText(key)));
  }
  const std::string near = nearest(text, key.allowed);
  return fail(Code::InvalidArgument, fmt::format("must be {}{}", allowedText(key),
                                                 near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
}

Result<Data> amountFromText(const Key& key, std::string_view text) {
  if (!text.ends_with('%')) {
    const std::uint64_t bytes = TRY(parseSize(text));
    TRY(withinBounds(key, bytes));
    return Data(Amount{.bytes = bytes});
  }
  const auto percent = parseInteger(text.substr(0, text.size() - 1));
  if (!percent || *percent < 1 || *percent > 100) {
    return fail(Code::InvalidArgument, "a percentage is a whole number from 1% to 100%");
  }
  return Data(Amount{.percent = static_cast<std::uint32_t>(*percent)});
}

std::vector<std::string> splitList(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma != 0) items.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

// From the one form that every value has: text, as in an override or a default.
Result<Data> fromText(const Key& key, const std::string& text) {
  switch (key.type) {
    case Type::Bool:
      if (text == "true") return Data(true);
      if (text == "false") return Data(false);
      return fail(Code::InvalidArgument, fmt::format("must be {}", allowedText(key)));
    case Type::Integer:
    case Type::Size: {
      const std::uint64_t number = TRY(key.type == Type::Size ? parseSize(text) : parseInteger(text));
      TRY(withinBounds(key, number));
      return Data(number);
    }
    case Type::Duration: {
      const Duration duration = TRY(parseDuration(text));
      TRY(withinBounds(key, static_cast<std::uint64_t>(duration.count())));
      return Data(duration);
    }
    case Type::Amount:
      return amountFromText(key, text);
    case Type::Enum:
      return enumFromText(key, text);
    case Type::List:
      return Data(splitList(text));
    case Type::Secret:
      return Data(Secret(text));
    case Type::String:
      break;
  }
  return Data(std::in_place_type<std::string>, text);
}

Result<Data> fromToml(const Key& key, const TomlNode& node) {
  const auto wrong_type = [&] { return fail(Code::InvalidArgument, fmt::format("must be {}", allowedText(key))); };
  const bool counts = key.type == Type::Integer || key.type == Type::Size || key.type == Type::Amount;
  switch (node.kind) {
    case TomlNode::Kind::Bool:
      if (key.type != Type::Bool) return wrong_type();
      return Data(node.boolean);
    case TomlNode::Kind::Integer:
      if (key.type == Type::Duration) return fromText(key, std::to_string(node.integer));  // "needs a unit"
      if (!counts || node.integer < 0) return wrong_type();
      return fromText(key, std::to_string(node.integer));
    case TomlNode::Kind::Text:
      if (key.type == Type::Bool || key.type == Type::Integer || key.type == Type::List) return wrong_type();
      return fromText(key, node.text);
    case TomlNode::Kind::TextList:
      if (key.type != Type::List) return wrong_type();
      return Data(node.list);
    case TomlNode::Kind::Table:
    case TomlNode::Kind::Tables:
    case TomlNode::Kind::Other:
      break;
  }
  return wrong_type();
}

std::string writtenAs(const Key& key, const TomlNode& node) {
  if (key.type == Type::Secret) return {};
  if (node.kind == TomlNode::Kind::Text) return fmt::format(" = \"{}\"", shown(node.text));
  if (node.kind == TomlNode::Kind::Integer) return fmt::format(" = {}", node.integer);
  if (node.kind == TomlNode::Kind::Bool) return fmt::format(" = {}", node.boolean);
  return {};
}

// Nothing given and no default: what the accessors of its type then return.
Data emptyOf(Type type) {
  switch (type) {
    case Type::Bool:
      return Data(false);
    case Type::Integer:
    case Type::Size:
      return Data(std::uint64_t{0});
    case Type::Amount:
      return Data(Amount{});
    case Type::Duration:
      return Data(Duration{0});
    case Type::List:
      return Data(std::vector<std::string>{});
    case Type::Secret:
      return Data(Secret{});
    case Type::String:
    case Type::Enum:
      break;
  }
  return Data(std::in_place_type<std::string>);
}

const Key* findKey(const Table& table, std::string_view name) {
  const auto key = std::ranges::find(table.keys, name, &Key::name);
  return key == table.keys.end() ? nullptr : &*key;
}

std::string didYouMean(std::string_view word, std::span<const std::string> candidates) {
  const std::string near = nearest(word, candidates);
  if (!near.empty()) return fmt::format("; did you mean \"{}\"?", near);
  return fmt::format("; there are {}", fmt::join(candidates, ", "));
}

class Parser {
 public:
  Parser(const Schema& schema, const Input& input) : schema_(schema), input_(input) {}

  Result<Document> run() {
    if (input_.text.size() > kMaxFile) {
      return fail(Code::InvalidArgument, fmt::format("{}: larger than {}", input_.file, sizeText(kMaxFile)));
    }
    const TomlNode root = TRY(parseToml(input_.text, input_.file));
    walk("", root);
    addMissingTables();
    for (Section& section : document_.sections) checkLabel(section);
    applyEnvironment();
    for (const std::string& set : input_.overrides.sets) applySet(set);
    for (Section& section : document_.sections) fillDefaults(section);
    sortSections();
    Problems all;
    for (auto& [line, text] : problems_) all.add(std::move(text));
    TRY(all.status());
    return std::move(document_);
  }

 private:
  static constexpr int kAfterFile = INT_MAX;  // problems of overrides, and what is missing

  std::string place(int line) const { return fmt::format("{}:{}", input_.file, line); }
  void problem(int line, std::string text) { problems_.emplace(line, std::move(text)); }

  const Table* findTable(std::string_view path) const {
    const auto table = std::ranges::find(schema_.tables, path, &Table::name);
    return table == schema_.tables.end() ? nullptr : &*table;
  }
  bool leadsToTable(std::string_view path) const {
    return std::ranges::any_of(schema_.tables, [&](const Table& t) {
      return t.name.size() > path.size() && t.name.starts_with(path) && t.name[path.size()] == '.';
    });
  }

  // A table of the file that is none of the schema's itself (the root, or "cell" if only "cell.member" exists).
  void walk(const std::string& path, const TomlNode& node) {
    for (const TomlNode& member : node.members) unknown(path, member);
  }

  // A member of `path` that is no key of it: a table of the schema, a step towards one, or a mistake.
  void unknown(const std::string& path, const TomlNode& node) {
    const std::string& name = node.key;
    const std::string below = path.empty() ? name : fmt::format("{}.{}", path, name);
    const Table* table = findTable(below);
    if (table != nullptr) return readTable(*table, node);
    if (node.kind == TomlNode::Kind::Table && leadsToTable(below)) return walk(below, node);
    std::vector<std::string> known;
    for (const Table& t : schema_.tables) known.push_back(t.name);
    if (const Table* around = findTable(path)) {
      known.clear();
      for (const Key& key : around->keys) known.push_back(key.name);
      return problem(node.line,
                     fmt::format("{}: {}: no such key{}", place(node.line), shown(below), didYouMean(name, known)));
    }
    problem(node.line,
            fmt::format("{}: {}: no such table{}", place(node.line), shown(below), didYouMean(below, known)));
  }

  void readTable(const Table& table, const TomlNode& node) {
    if (table.many && node.kind == TomlNode::Kind::Tables) {
      for (const TomlNode& item : node.items) readSection(table, item);
    } else if (!table.many && node.kind == TomlNode::Kind::Table) {
      readSection(table, node);
    } else {
      problem(node.line, fmt::format("{}: {}: must be written as {}", place(node.line), table.name,
                                     table.many ? fmt::format("[[{}]]", table.name) : fmt::format("[{}]", table.name)));
    }
  }

  void readSection(const Table& table, const TomlNode& node) {
    // The index, not a reference: tables below this one add sections.
    const std::size_t index = document_.sections.size();
    document_.sections.emplace_back();
    document_.sections[index].table = table.name;
    document_.sections[index].from = place(node.line);
    for (const TomlNode& member : node.members) {
      const std::string& name = member.key;
      const Key* key = findKey(table, name);
      if (key == nullptr) {
        unknown(table.name, member);
        continue;
      }
      auto data = fromToml(*key, member);
      if (data) {
        document_.sections[index].values[name] = {.data = std::move(*data), .from = place(member.line), .given = true};
      } else {
        problem(member.line, fmt::format("{}: {}.{}{}: {}", place(member.line), table.name, name,
                                         writtenAs(*key, member), data.error().message));
        // So that a wrong value isn't reported as a missing one too.
        document_.sections[index].values[name] = {.data = emptyOf(key->type), .from = place(member.line)};
      }
    }
  }

  bool hasSection(std::string_view table) const {
    return std::ranges::find(document_.sections, table, &Section::table) != document_.sections.end();
  }

  void addMissingTables() {
    for (const Table& table : schema_.tables) {
      if (table.many || hasSection(table.name)) continue;
      document_.sections.emplace_back();
      document_.sections.back().table = table.name;
      document_.sections.back().from = input_.file;
    }
  }

  // In the schema's order, whatever the file's is: what is shown of them then reads the same everywhere.
  void sortSections() {
    std::vector<Section> sorted;
    for (const Table& table : schema_.tables) {
      for (Section& section : document_.sections) {
        if (section.table == table.name) sorted.push_back(std::move(section));
      }
    }
    document_.sections = std::move(sorted);
  }

  void checkLabel(Section& section) {
    if (!findTable(section.table)->many) return;
    const auto name = section.values.find("name");
    if (name == section.values.end()) return;  // fillDefaults() says that it is missing
    section.label = std::get<std::string>(name->second.data);
    const auto same = std::ranges::find_if(document_.sections, [&](const Section& other) {
      return other.table == section.table && other.label == section.label;
    });
    if (&*same != &section) {
      problem(kAfterFile, fmt::format("{}: {}.name = \"{}\": another one has this name, at {}", name->second.from,
                                      section.table, shown(section.label), same->from));
    }
  }

  void applyEnvironment() {
    std::map<std::string, std::string> variables;
    for (const std::string& entry : input_.overrides.environment) {
      const std::size_t equals = entry.find('=');
      if (entry.starts_with("FOREBAY_") && equals != std::string::npos) {
        variables[entry.substr(0, equals)] = entry.substr(equals + 1);
      }
    }
    std::set<std::string> used;
    std::vector<std::string> known;
    for (Section& section : document_.sections) {
      for (const Key& key : findTable(section.table)->keys) {
        const std::string name = variableName(section.table, key.name, section.label);
        known.push_back(name);
        const auto variable = variables.find(name);
        if (variable == variables.end()) continue;
        used.insert(name);
        overrideWith(section, key, variable->second, name);
      }
    }
    for (const auto& [name, value] : variables) {
      if (!used.contains(name)) warnAboutVariable(name, known);
    }
  }

  // A warning, not an error: Kubernetes puts variables of its own into every container, such as
  // FOREBAY_NODE_SERVICE_HOST for a service that is called forebay-node.
  void warnAboutVariable(const std::string& name, std::span<const std::string> known) {
    const bool looks_like_a_key = std::ranges::any_of(
        schema_.tables, [&](const Table& table) { return name.starts_with(variableName(table.name, "", "")); });
    const bool of_a_service = name.find("_SERVICE_") != std::string::npos || name.ends_with("_PORT") ||
                              name.find("_PORT_") != std::string::npos;
    if (!looks_like_a_key || of_a_service) return;
    const std::string near = nearest(name, known);
    document_.warnings.push_back(fmt::format("{} names no key and is ignored{}", shown(name),
                                             near.empty() ? "" : fmt::format("; did you mean {}?", near)));
  }

  void applySet(const std::string& set) {
    const std::size_t equals = set.find('=');
    const std::size_t dot = equals == std::string::npos ? equals : set.rfind('.', equals);
    if (dot == std::string::npos) {
      return problem(kAfterFile,
                     fmt::format("--set {}: must be written as table.key=value", shown(set.substr(0, equals))));
    }
    const std::string path = set.substr(0, dot), key_name = set.substr(dot + 1, equals - dot - 1);
    const Table* table = nullptr;
    for (const Table& t : schema_.tables) {
      if (path == t.name || (t.many && path.starts_with(t.name + "."))) table = &t;
    }
    const std::string about = fmt::format("--set {}.{}", shown(path), shown(key_name));
    if (table == nullptr) return problem(kAfterFile, fmt::format("{}: no such table", about));
    const Key* key = findKey(*table, key_name);
    if (key == nullptr) {
      std::vector<std::string> known;
      for (const Key& k : table->keys) known.push_back(k.name);
      return problem(kAfterFile, fmt::format("{}: no such key{}", about, didYouMean(key_name, known)));
    }
    const std::string label = path == table->name ? "" : path.substr(table->name.size() + 1);
    const auto section = std::ranges::find_if(
        document_.sections, [&](const Section& s) { return s.table == table->name && s.label == label; });
    if (section == document_.sections.end() || (table->many && label.empty())) {
      return problem(kAfterFile, fmt::format("{}: {} has no [[{}]] of that name; write {}.NAME.{}=value", about,
                                             input_.file, table->name, table->name, key->name));
    }
    if (key->type == Type::Secret) {
      return problem(kAfterFile,
                     fmt::format("{}: a secret on the command line can be read by every user of this machine; use "
                                 "{} or a file",
                                 about, variableName(table->name, key->name, label)));
    }
    overrideWith(*section, *key, set.substr(equals + 1), "--set");
  }

  void overrideWith(Section& section, const Key& key, const std::string& text, const std::string& from) {
    if (!section.label.empty() && key.name == "name") {
      return problem(kAfterFile, fmt::format("{}: the name of a [[{}]] can't be overridden", from, section.table));
    }
    auto data = fromText(key, text);
    if (data) {
      section.values[key.name] = {.data = std::move(*data), .from = from, .given = true};
      return;
    }
    const std::string value = key.type == Type::Secret ? "" : fmt::format(" = \"{}\"", shown(text));
    problem(kAfterFile, fmt::format("{}: {}.{}{}: {}", from, section.table, key.name, value, data.error().message));
  }

  void fillDefaults(Section& section) {
    for (const Key& key : findTable(section.table)->keys) {
      const bool there = section.values.contains(key.name);
      section.values[key.name].type = key.type;
      if (there) continue;
      if (key.required) {
        problem(kAfterFile, fmt::format("{}: {}.{} is missing: {} ({})", section.from, section.table, key.name,
                                        key.effect, allowedText(key)));
      }
      Result<Data> data = key.initial.empty() ? Result<Data>(emptyOf(key.type)) : fromText(key, key.initial);
      if (!data) std::abort();  // a default that the schema itself refuses: a bug that every start shows
      section.values[key.name].data = std::move(*data);
      section.values[key.name].from = "default";
    }
  }

  const Schema& schema_;
  const Input& input_;
  Document document_;
  std::multimap<int, std::string> problems_;  // by line: the tree is sorted by key, people read files from the top
};

}  // namespace

Result<Document> parse(const Schema& schema, const Input& input) {
  return Parser(schema, input).run();
}

Result<Data> parseValue(const Key& key, const std::string& text) {
  return fromText(key, text);
}

Status Problems::status() const {
  if (problems_.empty()) return {};
  const std::size_t told = std::min(problems_.size(), kMaxProblems);
  std::string text = fmt::format("{}", fmt::join(std::span(problems_).first(told), "\n"));
  if (told < problems_.size()) text += fmt::format("\nand {} more", problems_.size() - told);
  return fail(Code::InvalidArgument, std::move(text));
}

const Value& Section::at(std::string_view key) const {
  const auto value = values.find(key);
  if (value == values.end()) std::abort();
  return value->second;
}
const std::vector<std::string>& Section::list(std::string_view key) const {
  return std::get<std::vector<std::string>>(at(key).data);
}

std::string Section::about(std::string_view key) const {
  const std::string where = at(key).given ? at(key).from : from;
  return fmt::format("{}: {}{}{}.{}", where, table, label.empty() ? "" : ".", label, key);
}
std::string Section::about() const {
  return fmt::format("{}: {}{}{}", from, table, label.empty() ? "" : ".", label);
}

const Section& Document::table(std::string_view name) const {
  const auto section = std::ranges::find(sections, name, &Section::table);
  if (section == sections.end()) std::abort();
  return *section;
}
std::vector<const Section*> Document::tables(std::string_view name) const {
  std::vector<const Section*> found;
  for (const Section& section : sections) {
    if (section.table == name) found.push_back(&section);
  }
  return found;
}

std::vector<std::string> environmentOfProcess() {
  std::vector<std::string> found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::string_view(*entry).starts_with("FOREBAY_")) found.emplace_back(*entry);
  }
  return found;
}

std::string variableName(std::string_view table, std::string_view key, std::string_view label) {
  std::string name = fmt::format("FOREBAY_{}_{}{}{}", table, key, label.empty() ? "" : "_", label);
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) c = '_';
  }
  return name;
}

Result<std::string> readConfigFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failErrno(fmt::format("open {}", path), errno);
  std::string text;
  std::array<char, 65536> buffer;
  ssize_t n = 0;
  while ((n = ::read(fd, buffer.data(), buffer.size())) > 0 && text.size() <= kMaxFile) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  const int error = errno;
  ::close(fd);
  if (n < 0) return failErrno(fmt::format("read {}", path), error);
  if (text.size() > kMaxFile) {
    return fail(Code::InvalidArgument, fmt::format("{} is larger than {}", path, sizeText(kMaxFile)));
  }
  return text;
}

}  // namespace forebay::config
