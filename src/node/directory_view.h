// The POSIX view of an origin's names: what a mount shows of a page of a listing, and what it can't.
//
// An object store's names are bytes; POSIX has components. Hidden are: names that are empty, "." or "..", hold a NUL,
// or are longer than 255 bytes; and an object beside a prefix of its own name ("a" beside "a/b"): the prefix wins. The
// object that marks a directory ("dir/", empty) is the directory, not a name in it; one with bytes is hidden.
//
// An object and its prefix needn't be on one page ("a", "a-1", ..., "a/b": '-' sorts before '/'), so an object whose
// prefix may still come is held back until the listing has passed it. What is held back at a page's end travels in the
// cursor, which is bounded: of a long chain of names, each starting with the one before, the first are shown early.
//
// Pure. Cursors come from outside: a malformed one is InvalidArgument.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "origin/origin.h"

namespace forebay::node {

bool posixComponent(std::string_view name);
// A path of such components, "" for the root.
bool posixPath(std::string_view path);

struct ViewCursor {
  std::vector<origin::ListEntry> held;  // objects whose prefix may still come
  std::string origin_next;              // where the origin's listing goes on: which of its pages
  std::string after;                    // of that page, the key of the last entry taken; empty: none yet
  bool started = false;                 // false: from the beginning

  std::string encode() const;
  static Result<ViewCursor> decode(std::string_view text);  // "" is the beginning
};

// An entry's place in a listing: its name, a directory's with the '/' after it. keyBefore is the order of keys.
std::string keyOf(const origin::ListEntry& entry);
bool keyBefore(const origin::ListEntry& a, const origin::ListEntry& b);

struct ViewPage {
  std::vector<const origin::ListEntry*> entries;  // of the page, and of what the cursor held back
  std::vector<origin::ListEntry> released;        // what it held back: some entries point here
  std::vector<std::string> hidden;
  ViewCursor next;  // meaningful unless last
  bool last = false;
};

// `page`: entries of the origin's, in the order of their keys; they must stay as long as the view is used.
// `origin_next`: where the origin's listing goes on behind them; empty: it doesn't. `mixes`: the origin can hold an
// object beside a prefix of its name (object stores; not directories).
ViewPage viewOf(std::span<const origin::ListEntry> page, std::string origin_next, ViewCursor cursor, bool mixes);

}  // namespace forebay::node
