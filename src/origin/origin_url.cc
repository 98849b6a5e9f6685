#include "origin/origin_url.h"

#include <fmt/format.h>

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

constexpr std::string_view kForms = "az://ACCOUNT/CONTAINER[/PREFIX], s3://BUCKET[/PREFIX] or file:///PATH";

bool allOf(std::string_view text, std::string_view also) {
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || also.find(c) != std::string_view::npos)) return false;
  return true;
}

bool mayHoldSecrets(std::string_view text) {
  const auto query = text.find('?');
  if (query != std::string_view::npos)
    for (const std::string_view sign : {"sig=", "X-Amz-", "x-amz-", "AWSAccessKeyId", "Signature="})
      if (text.find(sign, query) != std::string_view::npos) return true;
  const auto at = text.find('@');
  return at != std::string_view::npos && text.find('/', text.find("://") + 3) > at;
}

std::string asDirectory(std::string_view prefix) {
  std::string out(prefix);
  if (!out.empty() && out.back() != '/') out += '/';
  return out;
}

Result<OriginUrl> parseAzure(std::string_view rest, std::string_view whole) {
  const auto slash = rest.find('/');
  const std::string_view account = rest.substr(0, slash);
  if (account.size() < 3 || account.size() > 34 || !allOf(account, "-"))
    return fail(Code::InvalidArgument,
                fmt::format("{}: a storage account's name has 3 to 24 lower-case letters and digits. Write "
                            "az://ACCOUNT/CONTAINER[/PREFIX]",
                            shown(whole)));
  const std::string_view path = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  const auto end = path.find('/');
  const std::string_view container = path.substr(0, end);
  const bool special = container == "$root" || container == "$web" || container == "$logs";
  if (!special && (container.size() < 3 || container.size() > 63 || !allOf(container, "-")))
    return fail(Code::InvalidArgument,
                fmt::format("{}: a container's name has 3 to 63 lower-case letters, digits and hyphens. Write "
                            "az://ACCOUNT/CONTAINER[/PREFIX]",
                            shown(whole)));
  OriginUrl url{.scheme = OriginUrl::Scheme::Azure,
                .account = std::string(account),
                .container = std::string(container),
                .prefix = {},
                .root = {}};
  if (end != std::string_view::npos) url.prefix = asDirectory(path.substr(end + 1));
  return url;
}

Result<OriginUrl> parseS3(std::string_view rest, std::string_view whole) {
  const auto slash = rest.find('/');
  const std::string_view bucket = rest.substr(0, slash);
  if (bucket.size() < 3 || bucket.size() > 63 || !allOf(bucket, ".-_") || bucket.front() == '.' ||
      bucket.back() == '.' || bucket.find("..") != std::string_view::npos)
    return fail(Code::InvalidArgument,
                fmt::format("{}: a bucket's name has 3 to 63 lower-case letters, digits, dots and "
                            "hyphens. Write s3://BUCKET[/PREFIX]",
                            shown(whole)));
  OriginUrl url{
      .scheme = OriginUrl::Scheme::S3, .account = {}, .container = std::string(bucket), .prefix = {}, .root = {}};
  if (slash != std::string_view::npos) url.prefix = asDirectory(rest.substr(slash + 1));
  return url;
}

Result<OriginUrl> parseFile(std::string_view rest, std::string_view whole) {
  if (!rest.starts_with('/'))
    return fail(
        Code::InvalidArgument,
        fmt::format("{}: a directory's path must be absolute. Write file:///PATH (three slashes)", shown(whole)));
  return OriginUrl{
      .scheme = OriginUrl::Scheme::Dir, .account = {}, .container = {}, .prefix = {}, .root = std::string(rest)};
}

}  // namespace

std::string OriginUrl::text() const {
  switch (scheme) {
    case Scheme::Azure:
      return fmt::format("az://{}/{}/{}", account, container, prefix);
    case Scheme::S3:
      return fmt::format("s3://{}/{}", container, prefix);
    case Scheme::Dir:
      return "file://" + root;
  }
  return {};
}

Result<OriginUrl> parseUrl(std::string_view text) {
  if (mayHoldSecrets(text))
    return fail(Code::InvalidArgument,
                "a URL must not hold credentials (they would be seen in process lists and logs). Give them in the "
                "environment, a credentials file or the configuration: docs/config.md says how");
  if (text.size() > 4096 || text.find('\0') != std::string_view::npos)
    return fail(Code::InvalidArgument, "a URL has at most 4,096 bytes, none of them zero");
  const auto after = [&](std::string_view scheme) { return text.substr(scheme.size()); };
  OriginUrl url;
  if (text.starts_with("az://"))
    url = TRY(parseAzure(after("az://"), text));
  else if (text.starts_with("s3://"))
    url = TRY(parseS3(after("s3://"), text));
  else if (text.starts_with("file://"))
    url = TRY(parseFile(after("file://"), text));
  else if (text.starts_with("http://") || text.starts_with("https://"))
    return fail(Code::InvalidArgument,
                fmt::format("{}: a web address isn't an origin. Write az://ACCOUNT/CONTAINER or s3://BUCKET, and give "
                            "another service's address as endpoint",
                            shown(text)));
  else if (text.starts_with('/'))
    return fail(Code::InvalidArgument,
                fmt::format("{}: a directory is written file://{}", shown(text), text.substr(0, 200)));
  else
    return fail(Code::InvalidArgument, fmt::format("{} is no origin. Write {}", shown(text), kForms));
  if (url.prefix.size() > 1000)
    return fail(Code::InvalidArgument,
                fmt::format("a prefix of {} bytes leaves no room for names: object stores have 1,024 for both",
                            url.prefix.size()));
  return url;
}

bool Endpoint::isAddress() const {
  if (authority.starts_with('[')) return true;
  const std::string_view host = std::string_view(authority).substr(0, authority.find(':'));
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  return !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool isLoopbackAuthority(std::string_view authority) {
  if (authority.starts_with("[::1]")) return true;
  const std::string_view host = authority.substr(0, authority.find(':'));
  if (host == "localhost") return true;
  // Digits and dots alone: "127.example" is a name that anybody may have.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}
bool Endpoint::isLoopback() const {
  return isLoopbackAuthority(authority);
}

Result<Endpoint> parseEndpoint(std::string_view text) {
  const auto bad = [](std::string_view why) {
    return fail(Code::InvalidArgument,
                fmt::format("the endpoint {}. Write http[s]://HOST[:PORT][/PATH], without credentials", why));
  };
  Endpoint endpoint;
  if (text.starts_with("http://")) {
    endpoint.tls = false;
    text.remove_prefix(7);
  } else if (text.starts_with("https://")) {
    text.remove_prefix(8);
  } else if (text.find("://") != std::string_view::npos) {
    return bad("is neither http nor https");
  }
  if (text.size() > 1024) return bad("is too long");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f)
      return bad("holds a character that no host has");
    if (c == '@' || c == '?' || c == '#' || c == '%' || c == '\\') return bad(fmt::format("holds a '{}'", c));
  }
  const auto slash = text.find('/');
  std::string_view authority = text.substr(0, slash);
  std::string_view path = slash == std::string_view::npos ? std::string_view{} : text.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  std::string_view host = authority, port;
  const auto colon = authority.rfind(':');
  if (colon != std::string_view::npos && (authority.back() != ']')) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    const auto number = parseNumber(port);
    if (!number || *number == 0 || *number > 65'535) return bad("has a port that isn't one");
  }
  if (host.empty()) return bad("has no host");
  if (host.front() == '[' ? host.back() != ']' : host.find(':') != std::string_view::npos)
    return bad("has no valid host");
  // A default port isn't sent in Host, so it must not be signed either.
  if (port == (endpoint.tls ? "443" : "80")) authority = host;
  endpoint.authority = std::string(authority);
  endpoint.base_path = percentEncodePath(path);
  return endpoint;
}

}  // namespace forebay::origin
