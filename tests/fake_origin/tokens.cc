#include "fake_origin/tokens.h"

#include <fmt/format.h>

#include "base/hash.h"

namespace forebay::fake {
namespace {

std::string tag(std::string_view what, std::uint64_t number) {
  return hex(sha256(bytesOf(fmt::format("forebay fake {} {}", what, number))));
}

boost::json::object counts(const std::map<std::string, std::uint64_t, std::less<>>& map) {
  boost::json::object object;
  for (const auto& [kind, count] : map) object[kind] = count;
  return object;
}

}  // namespace

std::string Tokens::issueBearer(std::int64_t now) {
  bound();
  const std::string token = fmt::format("bearer.{:010}.{}", next_, tag("bearer", next_));
  ++next_;
  issued_[token].keys.expires = now + static_cast<std::int64_t>(settings.lifetime_s);
  return token;
}

Tokens::Keys Tokens::issueKeys(std::int64_t now) {
  bound();
  Keys keys{.id = fmt::format("ASIA{:016}", next_),
            .secret = tag("secret", next_).substr(0, 40),
            .session = tag("session", next_) + "/+=",
            .expires = now + static_cast<std::int64_t>(settings.lifetime_s)};
  ++next_;
  issued_[keys.id].keys = keys;
  return keys;
}

bool Tokens::ended(Issued& issued, std::int64_t now) const {
  return issued.revoked || now >= issued.keys.expires || (settings.max_uses > 0 && ++issued.uses > settings.max_uses);
}

std::optional<Refusal> Tokens::useBearer(std::string_view token, std::int64_t now) {
  const auto known = issued_.find(token);
  if (known == issued_.end() || !token.starts_with("bearer."))
    return Refusal{401, "InvalidAuthenticationInfo", "Signature validation failed."};
  if (ended(known->second, now))
    return Refusal{401, "InvalidAuthenticationInfo", "Lifetime validation failed. The token is expired."};
  return std::nullopt;
}

std::optional<Tokens::Keys> Tokens::useKeys(std::string_view id, std::int64_t now, std::optional<Refusal>& refusal) {
  const auto known = issued_.find(id);
  if (known == issued_.end() || !id.starts_with("ASIA")) return std::nullopt;
  if (ended(known->second, now)) refusal = Refusal{400, "ExpiredToken", "The provided token has expired."};
  return known->second.keys;
}

void Tokens::revokeAll() {
  for (auto& [name, issued] : issued_) issued.revoked = true;
}

void Tokens::reset() {
  settings = {};
  asked_.clear();
  gave_.clear();
}

void Tokens::count(std::string_view kind, bool issued) {
  ++(issued ? gave_ : asked_)[std::string(kind)];
}

boost::json::object Tokens::toJson() const {
  return {{"asked", counts(asked_)},
          {"issued", counts(gave_)},
          {"lifetime_s", settings.lifetime_s},
          {"max_uses", settings.max_uses},
          {"numbers_as_text", settings.numbers_as_text}};
}

void Tokens::bound() {
  if (issued_.size() >= kMost) issued_.clear();
}

std::string delegationKeyValue(const DelegationKey& key, const AzureAccount& account) {
  const std::string text = fmt::format("delegation\n{}\n{}\n{}\n{}\n{}\n{}", key.oid, key.tid, key.start, key.expiry,
                                       key.service, key.version);
  return base64(textOf(hmacSha256(bytesOf(account.key), bytesOf(text))));
}

}  // namespace forebay::fake
