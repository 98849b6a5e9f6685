// Where a command's output goes: stdout (buffered) and stderr, what kind of thing they are, and tables on them.
//
//   Terminal terminal = Terminal::ofProcess(json);
//   Table table(terminal, {{.title = "SIZE", .key = "size", .right = true}, {.title = "NAME", .key = "name"}});
//   table.row({Field::size(bytes), Field::name(name)});
//   table.finish();
//
// In text a table is aligned; with `--json` it is one JSON array of objects with exact numbers. A reader that closes
// the pipe (`forebay ls x | head`) is no error to complain about: broken() becomes true and the command stops.
// Threading: out() and err() from any thread; a Table from one.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace forebay::cli {

class Terminal {
 public:
  // Takes bytes; an errno if it can't.
  using Sink = std::function<int(std::string_view)>;
  struct Options {
    Sink out, err;
    bool out_is_terminal = false;
    bool json = false;
    unsigned width = 80;  // of the terminal
  };
  explicit Terminal(Options options) : options_(std::move(options)) {}
  static Terminal ofProcess(bool json);
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() { (void)flush(); }

  void out(std::string_view text);
  // "forebay: " and the text, on a line of its own, after what was written to stdout.
  void err(std::string_view text);
  // Prints an error and returns the exit code that goes with it.
  int fail(std::string_view what, const Error& error);
  int fail(const Error& error) { return fail("", error); }
  // An error if something of the output was lost; of a closed pipe: Cancelled.
  Status flush();
  bool broken();

  bool isTerminal() const { return options_.out_is_terminal; }
  bool json() const { return options_.json; }
  unsigned width() const { return options_.width; }

 private:
  void flushLocked();
  Options options_;
  std::mutex mutex_;
  std::string buffer_;
  int error_ = 0;  // errno of the first write to stdout that failed
};

// One value of a table, as a person and as a program reads it.
struct Field {
  std::string text;
  std::string json;       // a JSON value
  std::string more_json;  // further members of the row's object: ,"name_hex":"..."

  static Field word(std::string_view text);                         // plain text of our own or of a configuration
  static Field name(std::string_view bytes, std::string_view key);  // of an object: any bytes
  static Field number(std::uint64_t value, std::string_view shown = {});
  static Field size(std::uint64_t bytes);
  static Field flag(bool value);
  static Field none() { return {.text = "-", .json = "null", .more_json = {}}; }
};

struct Column {
  std::string title;
  std::string key;  // in JSON
  bool right = false;
  std::size_t min_width = 0;  // so that pages of one listing align with each other
};

class Table {
 public:
  Table(Terminal& terminal, std::vector<Column> columns, bool header = true);
  void row(std::vector<Field> fields);
  void page();    // prints what there is so far: bounds memory in long listings
  void finish();  // must be called once at the end; JSON needs its bracket

 private:
  void printText();
  Terminal& terminal_;
  const std::vector<Column> columns_;
  bool header_;
  std::vector<std::vector<Field>> rows_;
  bool first_ = true;  // no JSON row was printed yet
};

}  // namespace forebay::cli
