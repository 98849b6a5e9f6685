#include "node/directory_view.h"

#include <algorithm>

#include "base/bytes.h"

namespace forebay::node {
namespace {

constexpr std::size_t kMaxComponent = 255;  // NAME_MAX
constexpr std::size_t kMaxHeld = 1024;      // a name has at most 1,024 bytes, so no chain is longer
// Of what is held back, in a cursor, which has at most 4 KiB on the wire (wire/messages.cc) with the origin's own.
constexpr std::size_t kMaxHeldBytes = kKiB;
constexpr std::size_t kMaxCursor = 512 * kKiB;

class Writer {
 public:
  void number(std::uint64_t n) {
    char raw[8];
    std::memcpy(raw, &n, sizeof raw);
    text.append(raw, sizeof raw);
  }
  void bytes(std::string_view s) {
    number(s.size());
    text.append(s);
  }
  std::string text;
};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  std::uint64_t number() {
    std::uint64_t n = 0;
    if (text_.size() < sizeof n) {
      good_ = false;
      return 0;
    }
    std::memcpy(&n, text_.data(), sizeof n);
    text_.remove_prefix(sizeof n);
    return n;
  }
  std::string bytes() {
    const std::uint64_t size = number();
    if (size > text_.size()) {
      good_ = false;
      return {};
    }
    std::string s(text_.substr(0, size));
    text_.remove_prefix(size);
    return s;
  }
  bool good() const { return good_; }
  bool atEnd() const { return text_.empty(); }

 private:
  std::string_view text_;
  bool good_ = true;
};

// An entry's key, without writing it down.
struct Key {
  std::string_view name;
  bool directory;
};

bool before(const Key& a, const Key& b) {
  const std::size_t common = std::min(a.name.size(), b.name.size());
  const int order = a.name.substr(0, common).compare(b.name.substr(0, common));
  if (order != 0) return order < 0;
  const auto next = [&](const Key& key) {
    if (key.name.size() > common) return static_cast<int>(static_cast<unsigned char>(key.name[common]));
    return key.directory ? int{'/'} : -1;
  };
  return next(a) < next(b);
}

// Whether the listing, now at `entry`, has passed where `object`'s prefix would stand.
bool passed(const origin::ListEntry& entry, const origin::ListEntry& object) {
  return before({object.name, true}, {entry.name, entry.directory});
}

std::size_t encodedSize(const origin::ListEntry& entry) {
  return entry.name.size() + entry.info.version.size() + 4 * sizeof(std::uint64_t);
}

}  // namespace

std::string keyOf(const origin::ListEntry& entry) {
  return entry.directory ? entry.name + "/" : entry.name;
}

bool keyBefore(const origin::ListEntry& a, const origin::ListEntry& b) {
  return before({a.name, a.directory}, {b.name, b.directory});
}

bool posixComponent(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= kMaxComponent &&
         name.find('\0') == std::string_view::npos && name.find('/') == std::string_view::npos;
}

bool posixPath(std::string_view path) {
  if (path.empty()) return true;
  while (true) {
    const std::size_t slash = path.find('/');
    if (!posixComponent(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string ViewCursor::encode() const {
  Writer out;
  out.number(held.size());
  for (const auto& entry : held) {
    out.bytes(entry.name);
    out.number(entry.info.size);
    out.bytes(entry.info.version);
    out.number(static_cast<std::uint64_t>(entry.info.mtime_ns));
  }
  out.bytes(origin_next);
  out.bytes(after);
  return out.text;
}

Result<ViewCursor> ViewCursor::decode(std::string_view text) {
  ViewCursor cursor;
  if (text.empty()) return cursor;
  const auto bad = [] { return fail(Code::InvalidArgument, "a listing's cursor isn't one that this version made"); };
  if (text.size() > kMaxCursor) return bad();
  Reader in(text);
  const std::uint64_t held = in.number();
  if (held > kMaxHeld) return bad();
  for (std::uint64_t i = 0; i < held && in.good(); ++i) {
    origin::ListEntry entry;
    entry.name = in.bytes();
    entry.info.size = in.number();
    entry.info.version = in.bytes();
    entry.info.mtime_ns = static_cast<std::int64_t>(in.number());
    cursor.held.push_back(std::move(entry));
  }
  cursor.origin_next = in.bytes();
  cursor.after = in.bytes();
  cursor.started = true;
  if (!in.good() || !in.atEnd()) return bad();
  return cursor;
}

ViewPage viewOf(std::span<const origin::ListEntry> page, std::string origin_next, ViewCursor cursor, bool mixes) {
  ViewPage view;
  view.released = std::move(cursor.held);
  view.entries.reserve(page.size() + view.released.size());
  std::vector<const origin::ListEntry*> held;
  for (const auto& entry : view.released) held.push_back(&entry);
  const auto release = [&](auto from, auto to) {
    view.entries.insert(view.entries.end(), from, to);
    held.erase(from, to);
  };
  for (const auto& entry : page) {
    if (entry.directory) {
      const auto hidden = std::ranges::find(held, entry.name, &origin::ListEntry::name);
      if (hidden != held.end()) {
        view.hidden.push_back((*hidden)->name);
        held.erase(hidden);
      }
    }
    const auto done = std::ranges::stable_partition(held, [&](const auto* h) { return passed(entry, *h); });
    release(held.begin(), done.begin());
    if (!entry.directory && entry.name.empty() && entry.info.size == 0) continue;  // the directory's own marker
    if (!posixComponent(entry.name)) {
      view.hidden.push_back(entry.name);
    } else if (entry.directory || !mixes) {
      view.entries.push_back(&entry);
    } else {
      if (held.size() >= kMaxHeld) release(held.begin(), held.begin() + 1);
      held.push_back(&entry);
    }
  }
  view.last = origin_next.empty();
  if (view.last) release(held.begin(), held.end());
  // The first of a chain are the least likely to be prefixes of what still comes far behind them.
  std::size_t bytes = 0;
  for (const auto* entry : held) bytes += encodedSize(*entry);
  while (bytes > kMaxHeldBytes) {
    bytes -= encodedSize(*held.front());
    release(held.begin(), held.begin() + 1);
  }
  for (const auto* entry : held) view.next.held.push_back(*entry);
  view.next.origin_next = std::move(origin_next);
  view.next.started = true;
  return view;
}

}  // namespace forebay::node
