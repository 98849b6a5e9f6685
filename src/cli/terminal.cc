#include "cli/terminal.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "cli/exit_codes.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;

int writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

unsigned terminalWidth() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

Terminal Terminal::ofProcess(bool json) {
  return Terminal(Options{.out = [](std::string_view text) { return writeAll(STDOUT_FILENO, text); },
                          .err = [](std::string_view text) { return writeAll(STDERR_FILENO, text); },
                          .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                          .json = json,
                          .width = terminalWidth()});
}

void Terminal::out(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (error_ != 0) return;
  buffer_ += text;
  if (buffer_.size() >= kBuffer || options_.out_is_terminal) flushLocked();
}

void Terminal::flushLocked() {
  if (error_ == 0 && !buffer_.empty()) error_ = options_.out(buffer_);
  buffer_.clear();
}

void Terminal::err(std::string_view text) {
  const std::lock_guard lock(mutex_);
  flushLocked();
  (void)options_.err(fmt::format("forebay: {}\n", text));
}

int Terminal::fail(std::string_view what, const Error& error) {
  if (error.code == Code::Cancelled && broken()) return kExitFailure;
  err(what.empty() ? error.message : fmt::format("{}: {}", what, error.message));
  return exitCodeOf(error.code);
}

Status Terminal::flush() {
  const std::lock_guard lock(mutex_);
  flushLocked();
  if (error_ == 0) return {};
  if (error_ == EPIPE) return forebay::fail(Code::Cancelled, "the reader of the output has closed it");
  return failErrno("write to stdout", error_);
}

bool Terminal::broken() {
  const std::lock_guard lock(mutex_);
  return error_ != 0;
}

Field Field::word(std::string_view text) {
  JsonWriter json;
  json.value(text);
  return {.text = printable(text), .json = std::move(json).take(), .more_json = {}};
}

Field Field::name(std::string_view bytes, std::string_view key) {
  Field field = word(bytes);
  if (!isUtf8(bytes)) {
    JsonWriter both;
    both.beginObject().name(key, bytes).endObject();
    // {"name":"...","name_hex":"..."} without its first member and brackets.
    const std::string& text = both.text();
    const std::size_t second = text.rfind(fmt::format(",\"{}_hex\":", key));
    field.more_json = text.substr(second, text.size() - 1 - second);
  }
  return field;
}

Field Field::number(std::uint64_t value, std::string_view shown) {
  return {
      .text = shown.empty() ? humanCount(value) : std::string(shown), .json = std::to_string(value), .more_json = {}};
}

Field Field::size(std::uint64_t bytes) {
  return number(bytes, humanSize(bytes));
}

Field Field::flag(bool value) {
  return {.text = value ? "yes" : "no", .json = value ? "true" : "false", .more_json = {}};
}

Table::Table(Terminal& terminal, std::vector<Column> columns, bool header)
    : terminal_(terminal), columns_(std::move(columns)), header_(header) {
  if (terminal_.json()) terminal_.out("[");
}

void Table::row(std::vector<Field> fields) {
  if (!terminal_.json()) {
    rows_.push_back(std::move(fields));
    return;
  }
  std::string line = first_ ? "\n{" : ",\n{";
  first_ = false;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    line += fmt::format("{}\"{}\":{}{}", i == 0 ? "" : ",", columns_[i].key, fields[i].json, fields[i].more_json);
  }
  terminal_.out(line + "}");
}

void Table::page() {
  if (!terminal_.json()) printText();
}

void Table::finish() {
  page();
  if (terminal_.json()) terminal_.out(first_ ? "]\n" : "\n]\n");
}

void Table::printText() {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(std::max(column.min_width, header_ ? column.title.size() : 0));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], shownWidth(row[i].text));
  }
  const auto line = [&](const auto& text_of) {
    std::string text;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string_view cell = text_of(i);
      const std::string padding(widths[i] - std::min(widths[i], shownWidth(cell)), ' ');
      const bool last = i + 1 == columns_.size();
      if (columns_[i].right) text += padding;
      text += cell;
      if (!columns_[i].right && !last) text += padding;
      text += last ? "\n" : "  ";
    }
    terminal_.out(text);
  };
  if (header_ && !rows_.empty()) line([&](std::size_t i) -> std::string_view { return columns_[i].title; });
  if (!rows_.empty()) header_ = false;
  for (const auto& row : rows_) line([&](std::size_t i) -> std::string_view { return row[i].text; });
  rows_.clear();
}

}  // namespace forebay::cli
