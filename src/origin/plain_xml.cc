#include "origin/plain_xml.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace forebay::origin {
namespace {

constexpr auto kNameCharacters = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:"))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool ofName(char c) {
  return kNameCharacters[static_cast<unsigned char>(c)];
}
bool startsName(char c) {
  return ofName(c) && c != '-' && c != '.' && !(c >= '0' && c <= '9');
}
bool isSpace(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// What a text may begin with. Another encoding is another reader's task.
std::string_view withoutDeclaration(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  for (const std::string_view declaration : {R"(<?xml version="1.0" encoding="utf-8"?>)",
                                             R"(<?xml version="1.0" encoding="UTF-8"?>)", R"(<?xml version="1.0"?>)"}) {
    if (text.starts_with(declaration)) return text.substr(declaration.size());
  }
  return text;
}

// Into `to`; false where an escape is none of those that XML names.
bool unescape(std::string_view text, std::string& to) {
  static constexpr std::pair<std::string_view, char> kEscapes[] = {
      {"&amp;", '&'}, {"&quot;", '"'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&apos;", '\''}};
  to.clear();
  while (true) {
    const std::size_t plain = std::min(text.find('&'), text.size());
    to.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return true;
    const auto* const known = std::ranges::find_if(kEscapes, [&](const auto& e) { return text.starts_with(e.first); });
    if (known == std::end(kEscapes)) return false;
    to += known->second;
    text.remove_prefix(known->first.size());
  }
}

}  // namespace

PlainXml::PlainXml(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {
  const std::string_view rest = withoutDeclaration(text);
  at_ = end_ - rest.size();
  // A zero byte ends a text for some readers.
  if (text.find('\0') != std::string_view::npos) plain_ = false;
}

void PlainXml::skipSpaces() {
  while (at_ != end_ && isSpace(*at_)) ++at_;
}

bool PlainXml::skipTo(char c) {
  at_ = static_cast<const char*>(std::memchr(at_, c, static_cast<std::size_t>(end_ - at_)));
  if (at_ != nullptr) return true;
  at_ = end_;
  return fail();
}

bool PlainXml::next() {
  if (!plain_) return false;
  if (std::exchange(empty_, false)) {
    --depth_;
    return false;
  }
  skipSpaces();
  if (end_ - at_ < 2 || *at_ != '<') return fail();
  if (at_[1] != '/') return open();
  close();
  return false;
}

// At a '<' with something behind it.
bool PlainXml::open() {
  const char* const from = ++at_;
  if (depth_ == kMaxDepth || !startsName(*at_)) return fail();
  while (at_ != end_ && ofName(*at_)) ++at_;
  if (at_ == end_) return fail();
  open_[depth_++] = {from, at_};
  attributes_ = {};
  if (isSpace(*at_) && !readAttributes()) return false;
  if (*at_ == '/') {
    empty_ = true;
    ++at_;
  }
  if (at_ == end_ || *at_ != '>') return fail();
  ++at_;
  return true;
}

// Up to the '>' or '/' behind them.
bool PlainXml::readAttributes() {
  const char* const from = at_;
  while (true) {
    const char* const gap = at_;
    skipSpaces();
    if (at_ == end_) return fail();
    if (*at_ == '>' || *at_ == '/') break;
    if (at_ == gap || !startsName(*at_)) return fail();
    while (at_ != end_ && ofName(*at_)) ++at_;
    if (end_ - at_ < 2 || at_[0] != '=' || at_[1] != '"') return fail();
    at_ += 2;
    if (!skipTo('"')) return false;
    ++at_;
  }
  attributes_ = {from, at_};
  return true;
}

// At a "</".
bool PlainXml::close() {
  if (depth_ == 0) return fail();
  const std::string_view name = open_[depth_ - 1];
  const std::string_view rest(at_ + 2, end_);
  if (rest.size() <= name.size() || rest[name.size()] != '>' || !rest.starts_with(name)) return fail();
  at_ += name.size() + 3;
  --depth_;
  return true;
}

std::string_view PlainXml::text(std::string& scratch) {
  if (!plain_) return {};
  if (std::exchange(empty_, false)) {
    --depth_;
    return {};
  }
  const char* const from = at_;
  if (!skipTo('<')) return {};
  const std::string_view text(from, at_);
  if (end_ - at_ < 2 || at_[1] != '/' || text.contains('\r')) return fail(), std::string_view();
  if (!close()) return {};
  if (!text.contains('&')) return text;
  if (!unescape(text, scratch)) return fail(), std::string_view();
  return scratch;
}

void PlainXml::skip() {
  if (!plain_) return;
  if (std::exchange(empty_, false)) {
    --depth_;
    return;
  }
  for (const std::size_t outside = depth_ - 1; depth_ > outside;) {
    if (!skipTo('<')) return;
    if (end_ - at_ < 2) return void(fail());
    if (at_[1] == '/' ? !close() : !open()) return;
    if (std::exchange(empty_, false)) --depth_;
  }
}

bool PlainXml::ended() {
  if (!plain_ || depth_ != 0) return false;
  skipSpaces();
  return at_ == end_;
}

}  // namespace forebay::origin
