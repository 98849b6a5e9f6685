#include "origin/identity_answers.h"

#include <boost/json.hpp>
#include <fmt/format.h>
#include <limits>
#include <pugixml.hpp>

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

namespace json = boost::json;

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kMostSeconds = std::uint64_t{366} * 24 * 3600;
constexpr std::size_t kMaxDepth = 16;

Result<json::object> parseObject(std::string_view text) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::value value = json::parse(text, error, {}, options);
  if (error || !value.is_object()) return fail(Code::Corrupt, "the answer is no JSON object");
  return std::move(value.get_object());
}

std::string textIn(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// A number, or a string that is one.
std::optional<std::uint64_t> numberIn(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return parseNumber(std::string_view(value->get_string()));
  if (value->is_uint64()) return value->get_uint64();
  if (value->is_int64() && value->get_int64() >= 0) return static_cast<std::uint64_t>(value->get_int64());
  return std::nullopt;
}

Duration seconds(std::uint64_t count) {
  return std::chrono::seconds(static_cast<std::int64_t>(std::min(count, kMostSeconds)));
}

// From now until then; nothing is left of what has passed.
Duration spanUntil(std::int64_t then_ns, std::int64_t wall_ns) {
  if (then_ns <= wall_ns) return Duration{};
  return std::min(Duration(then_ns - std::max<std::int64_t>(wall_ns, 0)), seconds(kMostSeconds));
}

std::string word(std::string_view text) {
  if (text.empty() || text.size() > 64) return {};
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '_' && c != '.' && c != '-') return {};
  }
  return std::string(text);
}

Result<Credential> keys(std::string id, std::string secret, std::string session, std::string_view expiration,
                        std::int64_t wall_ns) {
  if (!isToken(id) || id.size() > 128) return fail(Code::Corrupt, "the answer has no access key id that can be one");
  if (!isToken(secret) || secret.size() > 1024) return fail(Code::Corrupt, "the answer has no secret access key");
  if (!session.empty() && !isToken(session)) return fail(Code::Corrupt, "the answer's session token can't be one");
  Credential credential;
  credential.access_key_id = std::move(id);
  credential.secret_access_key = Secret(std::move(secret));
  credential.session_token = Secret(std::move(session));
  credential.lifetime = std::chrono::hours(1);
  if (expiration.empty()) return credential;
  const auto end = parseIsoTime(expiration);
  if (!end) return fail(Code::Corrupt, "the answer's Expiration is no time");
  credential.lifetime = spanUntil(*end, wall_ns);
  return credential;
}

// "AADSTS70021" out of "AADSTS70021: No matching federated identity record found ...": the rest may quote the token.
std::string aadstsNumber(std::string_view description) {
  constexpr std::string_view kPrefix = "AADSTS";
  const auto at = description.find(kPrefix);
  if (at == std::string_view::npos) return {};
  std::size_t end = at + kPrefix.size();
  while (end < description.size() && description[end] >= '0' && description[end] <= '9' && end - at < 20) ++end;
  return end == at + kPrefix.size() ? std::string() : std::string(description.substr(at, end - at));
}

// The first element of that name, wherever it is: STS wraps its answers by operation.
pugi::xml_node anywhere(const pugi::xml_document& document, const char* name) {
  return document.find_node([name](const pugi::xml_node& node) { return std::string_view(node.name()) == name; });
}

// pugixml's search recurses: what is nested deeper than any answer of STS is none.
bool isShallow(std::string_view xml) {
  int depth = 0;
  for (std::size_t i = 0; i + 1 < xml.size(); ++i) {
    if (xml[i] != '<') continue;
    if (xml[i + 1] == '/')
      --depth;
    else if (xml[i + 1] != '?' && xml[i + 1] != '!')
      ++depth;
    if (depth > 64) return false;
  }
  return true;
}

}  // namespace

bool isToken(std::string_view text) {
  if (text.empty() || text.size() > kMaxTokenBytes) return false;
  for (const char c : text)
    if (c <= 0x20 || c >= 0x7f) return false;
  return true;
}

Result<Credential> parseAzureToken(std::string_view text, std::int64_t wall_ns) {
  const json::object answer = TRY(parseObject(text));
  std::string token = textIn(answer, "access_token");
  if (!isToken(token)) return fail(Code::Corrupt, "the answer has no access_token that can be one");
  const std::string type = textIn(answer, "token_type");
  if (!type.empty() && type != "Bearer" && type != "bearer")
    return fail(Code::Corrupt, "the token isn't a Bearer token");
  Credential credential;
  credential.bearer = Secret(std::move(token));
  if (const auto span = numberIn(answer, "expires_in")) {
    credential.lifetime = seconds(*span);
  } else if (const auto end = numberIn(answer, "expires_on")) {
    constexpr std::uint64_t kLast = std::numeric_limits<std::int64_t>::max() / kNsPerSecond;
    credential.lifetime = spanUntil(static_cast<std::int64_t>(std::min(*end, kLast)) * kNsPerSecond, wall_ns);
  } else {
    return fail(Code::Corrupt, "the answer has neither expires_in nor expires_on");
  }
  if (const auto refresh = numberIn(answer, "refresh_in")) credential.refresh_after = seconds(*refresh);
  return credential;
}

Result<Credential> parseMetadataKeys(std::string_view text, std::int64_t wall_ns) {
  const json::object answer = TRY(parseObject(text));
  if (const std::string code = textIn(answer, "Code"); !code.empty() && code != "Success")
    return fail(Code::Unauthenticated, fmt::format("the answer says {}", word(code).empty() ? "no" : word(code)));
  return keys(textIn(answer, "AccessKeyId"), textIn(answer, "SecretAccessKey"), textIn(answer, "Token"),
              textIn(answer, "Expiration"), wall_ns);
}

Result<Credential> parseStsKeys(std::string_view xml, std::int64_t wall_ns) {
  pugi::xml_document document;
  if (!isShallow(xml) || !document.load_buffer(xml.data(), xml.size()))
    return fail(Code::Corrupt, "the answer is no XML");
  const pugi::xml_node found = anywhere(document, "Credentials");
  if (!found) return fail(Code::Corrupt, "the answer has no Credentials");
  const std::string_view expiration = found.child_value("Expiration");
  if (expiration.empty()) return fail(Code::Corrupt, "the answer has no Expiration");
  return keys(found.child_value("AccessKeyId"), found.child_value("SecretAccessKey"), found.child_value("SessionToken"),
              expiration, wall_ns);
}

std::string azureErrorWord(std::string_view text) {
  const auto answer = parseObject(text);
  if (!answer) return {};
  std::string code = word(textIn(*answer, "error"));
  if (code.empty()) {
    if (const json::value* error = answer->if_contains("error"); error != nullptr && error->is_object())
      code = word(textIn(error->get_object(), "code"));
  }
  const std::string number = aadstsNumber(textIn(*answer, "error_description"));
  return code.empty() || number.empty() ? code + number : code + ", " + number;
}

std::string metadataErrorWord(std::string_view text) {
  const auto answer = parseObject(text);
  if (!answer) return {};
  std::string code = word(textIn(*answer, "code"));
  return code.empty() ? word(textIn(*answer, "Code")) : code;
}

std::string stsErrorWord(std::string_view xml) {
  pugi::xml_document document;
  if (!isShallow(xml) || !document.load_buffer(xml.data(), xml.size())) return {};
  const pugi::xml_node error = anywhere(document, "Error");
  return error ? word(error.child_value("Code")) : std::string();
}

}  // namespace forebay::origin
