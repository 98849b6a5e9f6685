// The URL a person writes for an origin.
//
//   az://ACCOUNT/CONTAINER[/PREFIX]      s3://BUCKET[/PREFIX]      file:///PATH
//
// A prefix is a directory: "data" and "data/" are the same. Names are written as they are, not percent-encoded:
// s3://b/50% off/ is fine. Credentials never stand in a URL; a URL that seems to hold some is refused unseen.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay::origin {

struct OriginUrl {
  enum class Scheme { Azure, S3, Dir };
  Scheme scheme = Scheme::Dir;
  std::string account;    // az
  std::string container;  // az: the container; s3: the bucket
  std::string prefix;     // az, s3: "" or ends with '/'
  std::string root;       // file: absolute

  std::string text() const;  // as a person would write it, the prefix with its '/'
  bool operator==(const OriginUrl&) const = default;
};

// InvalidArgument, with what is allowed.
Result<OriginUrl> parseUrl(std::string_view text);

// The scheme, host and base path of a service's endpoint: "http://127.0.0.1:10000/devstoreaccount1".
struct Endpoint {
  bool tls = true;
  std::string authority;  // host[:port], as it is sent in Host
  std::string base_path;  // "" or "/x[/y...]", without a slash at its end

  bool isAddress() const;   // an IP address or localhost: no subdomain can be put before it
  bool isLoopback() const;  // this machine: what is sent there unencrypted nobody else sees
  std::string text() const { return (tls ? "https://" : "http://") + authority + base_path; }
  bool operator==(const Endpoint&) const = default;
};

// Whether host[:port] is this machine itself.
bool isLoopbackAuthority(std::string_view authority);

// Takes "host:port" for https. InvalidArgument for a query, user info, or what no host can be.
Result<Endpoint> parseEndpoint(std::string_view text);

}  // namespace forebay::origin
