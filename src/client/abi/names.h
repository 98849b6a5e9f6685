// Names of the C ABI, MOUNT/PATH, and their plans: many in a few requests.
#pragma once

#include "client/abi/handles.h"

namespace forebay::abi {

struct Name {
  std::string mount, path;
  client::Rooms into = {};  // the same as ResolveOptions::into
};
Result<Name> parseName(const char* text);

using Answers = std::vector<Result<client::Attributes>>;  // by name, in order
using Answered = std::move_only_function<void(Answers)>;

// `answered` runs once, from the I/O thread, never inside the call. A name that fails harms no other.
void resolve(const Asked& asked, std::vector<Name> names, client::ResolveOptions options, Answered answered);

}  // namespace forebay::abi
