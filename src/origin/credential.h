// What requests to an object store are signed with, where that is temporary: got from somewhere, valid for a while,
// renewed while a mount lives. Account keys, SAS tokens and access keys that a person gives aren't: they are
// OriginConfig's.
//
//   std::shared_ptr<CredentialProvider> provider = TRY(makeCredentials(url, config, ...));   // null: nothing to renew
//   if (CredentialPtr credential = provider->current())  sign with it
//   else                                                 provider->get(deadline, ...)        // calls back with one
//   store answers 401                                    provider->refuse(*credential)       // a newer one is got
//
// Threading: the loop's. A callback never runs inside the call that it belongs to.
// Secrets: what a credential holds is a Secret; no message, log line or status shows more than source().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/secret.h"
#include "base/time.h"
#include "origin/origin.h"

namespace forebay::origin {

struct Credential {
  // Either nothing (requests go out unsigned), or Azure's, or S3's.
  Secret bearer;
  std::string access_key_id;
  Secret secret_access_key, session_token;

  // How long it is good for, from when it was asked for. Clocks of services and machines differ, and jump: absolute
  // times are turned into spans as soon as they arrive.
  Duration lifetime{};
  std::optional<Duration> refresh_after;  // what its issuer recommends
  std::string note;                       // of one that is nothing: why
  std::uint64_t number = 0;               // counts a provider's credentials; the provider gives it

  bool nothing() const { return bearer.empty() && access_key_id.empty(); }
};
using CredentialPtr = std::shared_ptr<const Credential>;

class CredentialProvider {
 public:
  virtual ~CredentialProvider() = default;  // drops what waits: callbacks don't run

  // The one to use now. Null: none that is still good is there. Never waits, never fails; asks for one where there is
  // none, and looks after its renewal.
  virtual CredentialPtr current() = 0;

  // Calls back as soon as one is there. Errors: Unauthenticated (who gives credentials refused; say so to a person),
  // DeadlineExceeded (with what went wrong last), Busy (too many wait). What passes (nobody answers, 5xx, 429) is tried
  // again until the deadline.
  virtual void get(TimePoint deadline, Callback<CredentialPtr> done) = 0;

  // The store refused this one: it isn't used any more, and another is got, once for all who say so. Fine for one that
  // has been replaced already.
  virtual void refuse(const Credential& credential) = 0;

  // For messages: "workload identity (client 1234, tenant 5678) from AZURE_FEDERATED_TOKEN_FILE".
  virtual const std::string& source() const = 0;
  // What went wrong last, where no attempt has succeeded since; else empty.
  virtual std::string trouble() const = 0;
};

// One way to get a credential: one attempt, no memory, no retries. What CredentialKeeper makes a provider of.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;  // drops the attempt: its callback doesn't run

  // One attempt at a time. Unauthenticated, PermissionDenied, NotFound, InvalidArgument, Unsupported: asking again soon
  // is no use. All else may pass; retry_after_ms is honoured.
  virtual void fetch(TimePoint deadline, Callback<Credential> done) = 0;

  virtual const std::string& description() const = 0;
};

}  // namespace forebay::origin
