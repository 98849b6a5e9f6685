// Profiles of the AWS shared files: whose keys, or which roles to assume one after the other and with what.
//
// Roles may build on each other (source_profile), at most kMaxRoles deep; a circle is an error that says so.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "origin/environment.h"
#include "origin/identity.h"
#include "origin/origin_config.h"

namespace forebay::origin {

constexpr const char* kDefaultSessionName = "forebay";

struct SharedFiles {
  std::string name;  // of the profile that is meant: AWS_PROFILE, else "default"
  std::string credentials_file, settings_file;
  Profiles credentials, settings;

  bool has(std::string_view profile) const;
  // The credentials file wins. Empty where neither has it.
  std::string get(std::string_view profile, std::string_view key) const;
};

// Files that aren't there are fine; NotFound for an AWS_PROFILE that is in neither.
Result<SharedFiles> readSharedFiles(const Environment& environment);

// Keys alone; or an identity (of kind Keys: with the keys to begin with); or neither, where the profile has none.
struct ProfileCredentials {
  S3Credentials keys;
  Identity identity;
};
Result<ProfileCredentials> resolveProfile(const SharedFiles& files, const Environment& environment);

// What the environment says about these two; of kind None where it says nothing, or that there is none.
Identity containerIdentity(const Environment& environment);
Identity instanceIdentity(const Environment& environment);

}  // namespace forebay::origin
