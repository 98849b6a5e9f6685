// A mount on its way to a node that already runs: MountConfig as an AddMountRequest and back. It carries credentials,
// so it goes over the user's own Unix socket only, and is never logged.
#pragma once

#include "base/result.h"
#include "node/config.h"
#include "wire/messages.h"

namespace forebay::node {

wire::pb::AddMountRequest toRequest(const MountConfig& mount);
// InvalidArgument, as for the configuration file.
Result<MountConfig> fromRequest(const wire::pb::AddMountRequest& request);

}  // namespace forebay::node
