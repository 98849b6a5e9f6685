// Credentials that end: what the issuer's port (issuer.h) gives out and the dialects check. They end by time, after a
// number of uses, or by POST /issuer/revoke, and are refused as the real services refuse them.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "fake_origin/auth.h"

namespace forebay::fake {

struct TokenSettings {
  std::uint64_t lifetime_s = 3600;
  std::uint64_t max_uses = 0;                   // requests that one may sign; 0: no bound
  std::string assertion = "forebay-assertion";  // the federated token that is accepted
  bool numbers_as_text = false;                 // "expires_in": "3600", as some services say it
};

class Tokens {
 public:
  static constexpr std::size_t kMost = 10'000;  // the oldest are forgotten: unknown is refused as well

  TokenSettings settings;

  std::string issueBearer(std::int64_t now);
  struct Keys {
    std::string id, secret, session;
    std::int64_t expires = 0;
  };
  Keys issueKeys(std::int64_t now);

  std::optional<Refusal> useBearer(std::string_view token, std::int64_t now);
  // The keys of that id, if it is one of ours; `refusal` is set where they have ended.
  std::optional<Keys> useKeys(std::string_view id, std::int64_t now, std::optional<Refusal>& refusal);

  void revokeAll();
  void reset();
  void count(std::string_view kind, bool issued);  // how often each issuer was asked, and gave
  boost::json::object toJson() const;

 private:
  struct Issued {
    Keys keys;
    std::uint64_t uses = 0;
    bool revoked = false;
  };
  bool ended(Issued& issued, std::int64_t now) const;
  void bound();

  std::map<std::string, Issued, std::less<>> issued_;  // by bearer token or key id
  std::map<std::string, std::uint64_t, std::less<>> asked_, gave_;
  std::uint64_t next_ = 1;
};

// The value of a user delegation key: computed, so that any number of them need no memory.
struct DelegationKey {
  std::string oid, tid, start, expiry, service, version;
};
std::string delegationKeyValue(const DelegationKey& key, const AzureAccount& account);

}  // namespace forebay::fake
