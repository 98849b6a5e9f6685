// A page of what a mount's origin has now, for `forebay freeze` and `forebay verify`: asked for this request alone,
// with its checksums, whatever the node knows of the names; also of a frozen mount, whose own names come from its
// manifest.
//
// Threading: the node's loop. Bounds: one page, of at most a frame's 1 MiB; the origin's own bounds.
#pragma once

#include "base/time.h"
#include "io/server.h"
#include "node/mounts.h"
#include "wire/messages.h"

namespace forebay::node {

void listOrigin(Mount& mount, const wire::pb::ListRequest& request, TimePoint deadline, io::Reply reply);

}  // namespace forebay::node
