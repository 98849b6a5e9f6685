// Writes JSON: small, ordered, streaming, correct for any bytes. For status pages and `--json`.
//
//   JsonWriter json;
//   json.beginObject().field("name", name).key("mounts").beginArray();
//   ...
//   json.endArray().endObject();
//   send(std::move(json).take());
//
// Names of objects may hold any bytes. Where a string isn't UTF-8, its bad bytes become U+FFFD, so that the result is
// always valid JSON; name() then adds the exact bytes beside it, in hexadecimal ("name_hex"). The caller keeps begin
// and end in balance. Not thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace forebay {

class JsonWriter {
 public:
  JsonWriter& beginObject() { return open('{'); }
  JsonWriter& endObject() { return close('}'); }
  JsonWriter& beginArray() { return open('['); }
  JsonWriter& endArray() { return close(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool value) { return raw(value ? "true" : "false"); }
  template <std::integral T>
  JsonWriter& value(T number) {
    return raw(std::to_string(number));
  }
  JsonWriter& value(double number);  // not a number, infinite: null
  JsonWriter& null() { return raw("null"); }
  // JSON made by another writer.
  JsonWriter& raw(std::string_view json);

  template <class T>
  JsonWriter& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }
  // A field whose content may be any bytes: see above.
  JsonWriter& name(std::string_view field_name, std::string_view bytes);

  const std::string& text() const { return out_; }
  std::string take() && { return std::move(out_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void separate();

  std::string out_;
  bool comma_ = false;  // something stands before: the next value needs a comma
};

bool isUtf8(std::string_view bytes);

}  // namespace forebay
