#include "fake_origin/http.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <ctime>
#include <fmt/format.h>
#include <openssl/evp.h>

namespace forebay::fake {
namespace http = boost::beast::http;

namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <class Pairs>
const std::string* find(const Pairs& pairs, std::string_view name) {
  for (const auto& [key, value] : pairs)
    if (key == name) return &value;
  return nullptr;
}

Status parseTarget(std::string_view target, Head& head) {
  if (target.starts_with("http://")) {
    head.through_proxy = true;
    target.remove_prefix(std::min(target.size(), target.find('/', 7)));
  }
  if (target.empty() || target.front() != '/') return fail(Code::InvalidArgument, "the request target is no path");
  const auto mark = target.find('?');
  head.path = target.substr(0, mark);
  if (!percentDecode(head.path)) return fail(Code::InvalidArgument, "the path has a '%' without two hex digits");
  if (mark == std::string_view::npos) return {};
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    if (item.empty()) continue;
    const auto equals = item.find('=');
    auto key = percentDecode(item.substr(0, equals));
    auto value = percentDecode(equals == std::string_view::npos ? std::string_view{} : item.substr(equals + 1));
    if (!key || !value) return fail(Code::InvalidArgument, "the query has a '%' without two hex digits");
    head.query.emplace_back(std::move(*key), std::move(*value));
  }
  return {};
}

}  // namespace

std::string_view Head::header(std::string_view name) const {
  const std::string* found = find(headers, name);
  return found != nullptr ? std::string_view(*found) : std::string_view{};
}
std::string_view Head::param(std::string_view name) const {
  const std::string* found = find(query, name);
  return found != nullptr ? std::string_view(*found) : std::string_view{};
}
bool Head::hasHeader(std::string_view name) const {
  return find(headers, name) != nullptr;
}
bool Head::hasParam(std::string_view name) const {
  return find(query, name) != nullptr;
}

Result<std::optional<Head>> parseHead(std::string_view input, std::size_t& consumed) {
  const auto end = input.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (input.size() > kMaxHeadBytes) return fail(Code::Busy, "the request's head is larger than 64 KiB");
    return std::nullopt;
  }
  consumed = end + 4;
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kMaxHeadBytes);
  parser.body_limit(boost::none);
  boost::system::error_code error;
  parser.put(boost::asio::const_buffer(input.data(), consumed), error);
  if (error && error != http::error::need_more) return fail(Code::InvalidArgument, error.message());
  if (!parser.is_header_done()) return fail(Code::InvalidArgument, "the request's head is not HTTP/1.1");

  Head head;
  const auto& message = parser.get();
  head.method = std::string(message.method_string());
  TRY(parseTarget(message.target(), head));
  for (const auto& field : message) head.headers.emplace_back(lower(field.name_string()), std::string(field.value()));
  head.content_length = parser.content_length().value_or(0);
  head.chunked = parser.chunked();
  head.keep_alive = message.keep_alive();
  return head;
}

std::optional<std::string> percentDecode(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hexDigit(text[i + 1]);
    const int low = hexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    result += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return result;
}

std::string percentEncode(std::string_view text, bool keep_slash) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || (keep_slash && c == '/');
    if (plain) {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += '%';
      result += kDigits[byte >> 4];
      result += kDigits[byte & 15];
    }
  }
  return result;
}

std::string base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // OpenSSL ends it with a NUL
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::optional<std::string> unbase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

std::optional<std::int64_t> parseHttpDate(std::string_view text) {
  const std::string copy(text);  // strptime wants a NUL, and answers with a pointer into it
  std::tm time{};
  const char* end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return timegm(&time);
}

std::string httpDate(std::int64_t seconds) {
  std::tm time{};
  gmtime_r(&seconds, &time);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &time)};
}

std::optional<std::int64_t> parseIsoDate(std::string_view text) {
  const std::string copy(text);
  for (const char* format : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d", "%Y%m%dT%H%M%SZ"}) {
    std::tm time{};
    const char* end = strptime(copy.c_str(), format, &time);
    if (end != nullptr && *end == '\0') return timegm(&time);
  }
  return std::nullopt;
}

std::string isoDate(std::int64_t seconds) {
  std::tm time{};
  gmtime_r(&seconds, &time);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &time)};
}

void Answer::set(std::string_view name, std::string value) {
  for (auto& [key, old] : headers) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  headers.emplace_back(name, std::move(value));
}

void Answer::text(std::string body_text) {
  length = body_text.size();
  body.clear();
  if (length != 0)
    body.push_back(
        {.text = std::make_shared<const std::string>(std::move(body_text)), .file = {}, .offset = 0, .length = length});
}

std::string_view reason(int status) {
  return http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
}

std::string xml(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\r':
        result += "&#13;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

bool fitsXml(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t size = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (size == 0 || i + size > text.size()) return false;
    std::uint32_t point = size == 1 ? lead : lead & (0x7fU >> size);
    for (std::size_t k = 1; k < size; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if (next >> 6 != 2) return false;
      point = point << 6 | (next & 0x3fU);
    }
    const bool control = point < 0x20 && point != '\t' && point != '\n' && point != '\r';
    if (control || point == 0xfffe || point == 0xffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    i += size;
  }
  return true;
}

}  // namespace forebay::fake
