#include "frontend/fuse/fuse_metrics.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <string>
#include <string_view>

#include "frontend/fuse/protocol.h"

namespace forebay::fuse {
namespace {

constexpr std::pair<int, std::string_view> kErrors[] = {
    {EIO, "EIO"},       {ENOENT, "ENOENT"}, {EACCES, "EACCES"},   {EROFS, "EROFS"},           {EINTR, "EINTR"},
    {ESTALE, "ESTALE"}, {ENOSYS, "ENOSYS"}, {ENODATA, "ENODATA"}, {EINVAL, "EINVAL"},         {EBADF, "EBADF"},
    {ENFILE, "ENFILE"}, {ERANGE, "ERANGE"}, {EISDIR, "EISDIR"},   {EOPNOTSUPP, "EOPNOTSUPP"},
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

constexpr std::string_view kErrorsName = "forebay_fuse_errors_total", kErrorsHelp = "Requests refused, by errno.";

}  // namespace

FuseMetrics::FuseMetrics(Metrics& metrics)
    : other_errors(metrics.counter(kErrorsName, kErrorsHelp, {{"errno", "other"}})),
      bytes(metrics.counter("forebay_fuse_read_bytes_total", "Bytes of files given to the kernel.")),
      passthrough_opens(metrics.counter("forebay_fuse_passthrough_opens_total",
                                        "Opens of complete objects whose bytes the kernel reads by itself.")),
      remembered(metrics.counter("forebay_fuse_remembered_names_total",
                                 "Lookups that were answered from what earlier ones found.")),
      hidden(metrics.counter("forebay_fuse_hidden_names_total",
                             "Names in listings that were left out because POSIX can't hold them.")),
      malformed(metrics.counter("forebay_fuse_malformed_requests_total", "Requests that could not be understood.")),
      late(metrics.counter("forebay_fuse_late_total", "Operations that passed their deadline unanswered.")),
      outstanding(metrics.gauge("forebay_fuse_outstanding", "Operations that wait for names or bytes.")),
      nodes(metrics.gauge("forebay_fuse_nodes", "Files and directories that the kernel remembers.")),
      handles(metrics.gauge("forebay_fuse_open_handles", "Open files and directories.")),
      reply_bytes(metrics.gauge("forebay_fuse_reply_bytes", "Memory for replies, in use or kept for reuse.")),
      read_time(metrics.histogram("forebay_fuse_read_seconds", "From a READ to its reply.")),
      lookup_time(metrics.histogram("forebay_fuse_lookup_seconds", "From a LOOKUP to its reply.")) {
  for (std::uint32_t opcode = 0; opcode < requests.size(); ++opcode)
    requests[opcode] =
        &metrics.counter("forebay_fuse_requests_total", "Requests of the kernel.", {{"op", lower(opcodeName(opcode))}});
  for (const auto& [number, name] : kErrors)
    errors.emplace_back(number, &metrics.counter(kErrorsName, kErrorsHelp, {{"errno", std::string(name)}}));
}

Counter& FuseMetrics::errorsOf(int error) {
  const auto known = std::ranges::find(errors, error, &std::pair<int, Counter*>::first);
  return known == errors.end() ? other_errors : *known->second;
}

}  // namespace forebay::fuse
