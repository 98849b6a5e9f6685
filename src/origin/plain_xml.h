// The plain part of XML, read in one pass and without a tree: what stores answer to a list, which is long.
//
//   PlainXml in(text);
//   if (in.next() && in.name() == "List")
//     while (in.next()) {                    // each child of the innermost open element, which it opens
//       if (in.name() == "Name") name = in.text(scratch);  // closes it
//       else in.skip();                                     // closes it
//     }
//   if (!in.ended()) ...                     // it isn't plain: nothing that was read of it counts
//
// Plain are: UTF-8 with or without its mark and declaration, one root, elements whose attributes stand in double
// quotes, and text whose escapes are the five that XML names. All else (comments, CDATA, processing instructions,
// document types, text beside elements where text is wanted, deep nesting, whatever isn't well-formed) isn't, and is
// left to a reader of all of XML. What is plain, that reader reads in the same way: list_fuzz.cc compares them.
//
// Bounds: kMaxDepth, and nothing is kept of what was read. For any bytes.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace forebay::origin {

class PlainXml {
 public:
  // `text` must outlive it, and what name(), attributes() and text() give.
  explicit PlainXml(std::string_view text);

  // Opens the next child of the innermost open element (at first: the root). False: there is none, and that element is
  // closed now; or what follows isn't plain.
  bool next();
  // Of the element that was opened last.
  std::string_view name() const { return open_[depth_ - 1]; }
  std::string_view attributes() const { return attributes_; }  // with the spaces before them
  // Of the element that was opened last, which it closes. It must hold nothing but text. `scratch` takes what was
  // escaped, and must stay as long as the text is used.
  std::string_view text(std::string& scratch);
  // Closes the element that was opened last, whatever plain things it holds.
  void skip();

  // Whether all was plain up to here, every element is closed, and nothing follows.
  bool ended();

 private:
  static constexpr std::size_t kMaxDepth = 8;

  bool open();
  bool close();
  bool fail() {
    plain_ = false;
    return false;
  }
  void skipSpaces();
  bool skipTo(char c);
  bool readAttributes();

  const char* at_;
  const char* const end_;
  std::array<std::string_view, kMaxDepth> open_;
  std::size_t depth_ = 0;
  std::string_view attributes_;
  bool empty_ = false;  // the element that was opened last is <a/>
  bool plain_ = true;
};

}  // namespace forebay::origin
