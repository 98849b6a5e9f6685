// Where a node of this user keeps its socket, and where everybody who looks for that node finds it.
//
//   FOREBAY_NODE_RUN_DIR   that directory: what says node.run_dir to a node says it to its clients too
//   root                   /run/forebay
//   XDG_RUNTIME_DIR        $XDG_RUNTIME_DIR/forebay
//   otherwise              /tmp/forebay-UID
//
// Anybody may make a directory in /tmp before its owner does; so a node prepares its directory with
// preparePrivateDir(), which refuses one that another user owns or can write to, and a client checks it in the same
// way before it trusts the socket in it. Any thread; reads the environment.
#pragma once

#include <string>

#include "base/result.h"

namespace forebay::config {

std::string defaultRunDir();
std::string defaultSocketPath();  // defaultRunDir()/node.sock

// Makes `dir` (and what is missing above it) with mode 0700, or checks the one that is there.
Status preparePrivateDir(const std::string& dir);
// That `dir` is a directory of this user's (or root's) that nobody else can write to.
Status checkPrivateDir(const std::string& dir);

}  // namespace forebay::config
