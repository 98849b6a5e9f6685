#include "origin/http_errors.h"

#include <cctype>
#include <fmt/format.h>

#include "origin/encoding.h"

namespace forebay::origin {
namespace {

using io::HttpFailure;
using io::HttpResponse;
using io::HttpResult;

std::string requestId(const HttpResponse& response) {
  std::string_view id = response.headers.get("x-ms-request-id");
  if (id.empty()) id = response.headers.get("x-amz-request-id");
  if (id.empty() || id.size() > 64) return {};
  for (const char c : id)
    if (!isalnum(static_cast<unsigned char>(c)) && c != '-') return {};
  return fmt::format(" (the service's request id: {})", id);
}

Code codeOfStatus(CallKind kind, int status) {
  switch (status) {
    case 400:
      return Code::InvalidArgument;
    case 401:
      return Code::Unauthenticated;
    case 403:
      return Code::PermissionDenied;
    case 404:
    case 410:
      return kind == CallKind::Get ? Code::Gone : Code::NotFound;
    case 412:
    case 416:
      return Code::Gone;
    case 409:
    case 501:
      return Code::Unsupported;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return Code::Unavailable;
    default:
      return status / 100 == 3 ? Code::InvalidArgument : status / 100 == 5 ? Code::Unavailable : Code::Corrupt;
  }
}

Code codeOfFailure(HttpFailure failure) {
  switch (failure) {
    case HttpFailure::Untrusted:
      return Code::Unauthenticated;
    case HttpFailure::TooLarge:
    case HttpFailure::Malformed:
      return Code::Corrupt;
    case HttpFailure::Local:
      return Code::IoError;
    case HttpFailure::Deadline:
      return Code::DeadlineExceeded;
    default:
      return Code::Unavailable;
  }
}
}  // namespace

std::string describeCall(const std::string& url, const Call& call) {
  const std::string name = shown(url + call.path);
  switch (call.kind) {
    case CallKind::Head:
      return "look up " + name;
    case CallKind::List:
      return "list " + name;
    case CallKind::Open:
      return "open " + name;
    case CallKind::Get:
      break;
  }
  return fmt::format("read {} from {}, {} bytes", name, call.offset, call.length);
}

Error failureError(const Dialect& dialect, const std::string& what, const HttpResult& result, std::uint64_t received,
                   std::uint64_t due) {
  std::string message = fmt::format("{}: {}", what, result.why);
  if (result.failure == HttpFailure::Resolve || result.failure == HttpFailure::Connect)
    message += ". " + dialect.unreachableAdvice();
  if (result.failure == HttpFailure::Untrusted)
    message += ". If the service has a private certificate authority, give its certificate as ca_file";
  if (received > 0) message += fmt::format(" (after {} of {} bytes)", received, due);
  return {codeOfFailure(result.failure), std::move(message)};
}

Error statusError(const Dialect& dialect, const std::string& what, CallKind asked, const HttpResponse& response,
                  const Credential* credential) {
  const int status = response.status;
  const std::string word = dialect.errorCode(response);
  Error error{codeOfStatus(asked, status), {}};
  if (dialect.isUnauthenticated(word)) error.code = Code::Unauthenticated;
  if (dialect.isTransient(word)) error.code = Code::Unavailable;
  error.message = fmt::format("{}: the origin answers {}{}{}", what, status, word.empty() ? "" : " ", word);
  if (status / 100 == 3) error.message += ", a redirect; redirects aren't followed. Check endpoint and region";
  if (error.code == Code::Gone && status == 412) error.message += ": the object was changed since it was looked up";
  if (error.code == Code::Gone && status == 404) error.message += ": the object was deleted since it was looked up";
  if (error.code == Code::Gone && status == 416) error.message += ": the object is shorter than it was when looked up";
  if (const std::string advice = dialect.advice(status, word); !advice.empty()) error.message += ". " + advice;
  if (credential != nullptr && !credential->note.empty() && (status == 401 || status == 403))
    error.message += ". " + credential->note;
  error.message += requestId(response);
  return error;
}

}  // namespace forebay::origin
