// The status of a cell as JSON: what `forebay status --json` prints and a node's admin port answers at /status.
#pragma once

#include <string>

#include "wire/messages.pb.h"

namespace forebay::cli {

// {"nodes":[{"name":...,"mounts":[...]}]}. Numbers are exact; an absent hit ratio (nothing was read yet) is null.
std::string statusJson(const wire::pb::StatusReply& reply);

}  // namespace forebay::cli
