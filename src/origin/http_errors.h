// What a person reads when an object store doesn't do what was asked: what failed, on what, why, and what to do. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "io/http_client.h"
#include "origin/credential.h"
#include "origin/dialect.h"

namespace forebay::origin {

// "read 'az://account/data/x' from 0, 100 bytes"
std::string describeCall(const std::string& url, const Call& call);

// Of an attempt that no answer came to, after `received` of `due` bytes.
Error failureError(const Dialect& dialect, const std::string& what, const io::HttpResult& result,
                   std::uint64_t received, std::uint64_t due);

// Of an answer that isn't the one that was hoped for. `credential`: what it was asked with; null for none.
Error statusError(const Dialect& dialect, const std::string& what, CallKind asked, const io::HttpResponse& response,
                  const Credential* credential);

}  // namespace forebay::origin
