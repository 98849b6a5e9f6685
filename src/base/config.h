// Configuration that explains itself: a schema says what may be written, and everything else follows from it: reading
// a TOML file, overriding from the environment and from flags, messages a person can act on, and the documentation.
//
//   const Schema schema{.tables = {{.name = "node", .effect = "...", .keys = {{.name = "memory", ...}}}}};
//   const Document document = TRY(parse(schema, {.text = text, .file = "forebay.toml", .overrides = overrides}));
//   const std::uint64_t bytes = document.table("node").integer("memory");
//
// Precedence: `--set node.memory=4GiB`, then FOREBAY_NODE_MEMORY, then the file, then the default. A key of a table
// that comes several times ([[mount]]) is named with its label: `--set mount.train.url=...`,
// FOREBAY_MOUNT_URL_TRAIN (upper case; what isn't a letter or digit is '_').
//
// Failure: InvalidArgument whose message has one line for each problem (at most 20), each with file, line, key and what
// is allowed; an unknown key comes with the nearest known one. The values of secrets are never repeated in a message.
// Bounds: a file of at most 4 MiB (5,000 members take about 0.5 MiB). Threading: none; values are plain.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace forebay::config {

enum class Type : std::uint8_t {
  Bool,
  Integer,
  Size,      // bytes; written as "4GiB"
  Amount,    // a size, or a percentage of something that the effect names
  Duration,  // written as "30s"
  String,
  Enum,
  List,    // of strings; in an override separated by commas
  Secret,  // a string that no message repeats; refused on the command line, where other users can read it
};

struct Key {
  std::string name = {};
  Type type = Type::String;
  std::string initial = {};       // the default, as it would be written in an override; empty: nothing
  std::string initial_note = {};  // for the documentation, where the default is found at start
  std::string effect = {};
  std::string unit = {};                  // of an integer: what it counts
  std::vector<std::string> allowed = {};  // of an Enum
  std::vector<std::string> not_yet = {};  // of an Enum: values that exist in Forebay's design, not in this version
  std::string form = {};                  // of a string: what it looks like, such as "host:port"
  std::uint64_t least = 0;                // of integers, sizes (bytes) and durations (nanoseconds)
  std::uint64_t most = UINT64_MAX;        // likewise
  bool power_of_two = false;
  bool required = false;
};

struct Table {
  std::string name = {};  // "cell.member"
  std::string effect = {};
  bool many = false;  // [[name]]: any number of them, told apart by their key "name", which they must have
  std::vector<Key> keys = {};
};

struct Schema {
  std::vector<Table> tables = {};
};

struct Amount {
  std::uint64_t bytes = 0;    // used where percent is 0
  std::uint32_t percent = 0;  // 1 to 100
  bool operator==(const Amount&) const = default;
};

using Data = std::variant<bool, std::uint64_t, Amount, Duration, std::string, std::vector<std::string>, Secret>;

struct Value {
  Data data;
  std::string from;    // "forebay.toml:12", "FOREBAY_NODE_MEMORY", "--set", "default"
  bool given = false;  // by the file or an override
  Type type = Type::String;
};

// One table with all its keys: those that nobody gave have their defaults. To ask for a key that the schema lacks, or
// as another type, is a bug and aborts.
class Section {
 public:
  bool boolean(std::string_view key) const { return std::get<bool>(at(key).data); }
  std::uint64_t integer(std::string_view key) const { return std::get<std::uint64_t>(at(key).data); }  // or a size
  Amount amount(std::string_view key) const { return std::get<Amount>(at(key).data); }
  Duration duration(std::string_view key) const { return std::get<Duration>(at(key).data); }
  const std::string& text(std::string_view key) const { return std::get<std::string>(at(key).data); }  // or an enum
  const std::vector<std::string>& list(std::string_view key) const;
  const Secret& secret(std::string_view key) const { return std::get<Secret>(at(key).data); }
  bool given(std::string_view key) const { return at(key).given; }

  // "forebay.toml:12: node.memory": how a message about a key should start.
  std::string about(std::string_view key) const;
  std::string about() const;

  std::string table;  // "mount"
  std::string label;  // of a table that comes several times: its name
  std::string from;   // where its header stands
  std::map<std::string, Value, std::less<>> values;

 private:
  const Value& at(std::string_view key) const;
};

struct Document {
  const Section& table(std::string_view name) const;
  std::vector<const Section*> tables(std::string_view name) const;  // in the file's order

  std::vector<Section> sections;
  std::vector<std::string> warnings;  // variables FOREBAY_* that look like a key and are none
};

struct Overrides {
  std::vector<std::string> environment = {};  // "NAME=value"; only those that start with FOREBAY_ are looked at
  std::vector<std::string> sets = {};         // "node.memory=4GiB"
};
// FOREBAY_* of this process.
std::vector<std::string> environmentOfProcess();

struct Input {
  std::string_view text = {};
  std::string file = {};  // its name in messages
  Overrides overrides = {};
};

Result<Document> parse(const Schema& schema, const Input& input);

// Problems found by whoever checks further, in the form that parse() uses.
class Problems {
 public:
  void add(std::string problem) { problems_.push_back(std::move(problem)); }
  bool empty() const { return problems_.empty(); }
  Status status() const;

 private:
  std::vector<std::string> problems_;
};

// One row per key that is in force, for `config check`. Secrets are shown as "(secret)".
struct Effective {
  std::string key, value, from;
};
std::vector<Effective> effective(const Document& document);

// What a key may be, for messages and documentation: "a size such as \"4GiB\", from 1MiB to 64MiB, a power of two".
std::string allowedText(const Key& key);
// A value as an override writes it, by the rules of its key. The message doesn't repeat the value.
Result<Data> parseValue(const Key& key, const std::string& text);
std::string valueText(const Value& value);
std::string variableName(std::string_view table, std::string_view key, std::string_view label);

// The Markdown page of a schema.
std::string documentation(const Schema& schema, std::string_view preamble);

Result<std::string> readConfigFile(const std::string& path);

}  // namespace forebay::config
