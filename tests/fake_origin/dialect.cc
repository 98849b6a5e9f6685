#include "fake_origin/dialect.h"

#include <fmt/format.h>

#include "fake_origin/range.h"

namespace forebay::fake {
namespace {

enum class Verdict { Go, PreconditionFailed, NotModified };

// RFC 9110, 13.2.2: If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since.
Verdict conditions(const Head& head, std::string_view etag, std::int64_t mtime_s) {
  if (head.hasHeader("if-match")) {
    if (!namesEtag(head.header("if-match"), etag)) return Verdict::PreconditionFailed;
  } else if (const auto since = parseHttpDate(head.header("if-unmodified-since")); since && mtime_s > *since) {
    return Verdict::PreconditionFailed;
  }
  if (head.hasHeader("if-none-match")) {
    if (namesEtag(head.header("if-none-match"), etag)) return Verdict::NotModified;
  } else if (const auto since = parseHttpDate(head.header("if-modified-since")); since && mtime_s <= *since) {
    return Verdict::NotModified;
  }
  return Verdict::Go;
}

}  // namespace

Answer Dialect::read(const Head& head, const Target& target, const ReadRules& rules, Context& context) const {
  if (context.objects.container(target.container) == nullptr)
    return refuse(head, {404, rules.no_container, "The specified container does not exist."});
  const Object* object = context.objects.find(target.container, target.name);
  if (object == nullptr) return refuse(head, {404, rules.no_object, "The specified object does not exist."});

  const std::string tag = etag(*object);
  switch (conditions(head, tag, object->mtime_s)) {
    case Verdict::PreconditionFailed:
      return refuse(head,
                    {412, rules.precondition, "The condition specified using HTTP conditional header(s) is not met."});
    case Verdict::NotModified: {
      Answer unchanged = refuse(head, {304, rules.precondition, ""});
      unchanged.text("");
      unchanged.no_body = true;
      unchanged.set("ETag", tag);
      return unchanged;
    }
    case Verdict::Go:
      break;
  }

  AskedRange range = parseRange(rules.range, object->size, rules.suffix_allowed);
  if (range.kind == RangeKind::Malformed) {
    if (!rules.ignore_malformed)
      return refuse(head, {400, "InvalidHeaderValue", "The range is none that this service documents: " + rules.range});
    range = {.kind = RangeKind::Whole, .offset = 0, .length = object->size};
  }
  if (range.kind == RangeKind::Unsatisfiable) {
    Answer beyond =
        refuse(head, {416, "InvalidRange", "The range specified is invalid for the current size of the resource."});
    beyond.set("Content-Range", fmt::format("bytes */{}", object->size));
    return beyond;
  }

  Answer answer{.status = range.kind == RangeKind::Part ? 206 : 200};
  answer.length = range.length;
  answer.content_offset = range.offset;
  answer.content_etag = tag;
  answer.set("ETag", tag);
  answer.set("Last-Modified", httpDate(object->mtime_s));
  answer.set("Accept-Ranges", "bytes");
  answer.set("Content-Type", object->content_type);
  if (range.kind == RangeKind::Part)
    answer.set("Content-Range",
               fmt::format("bytes {}-{}/{}", range.offset, range.offset + range.length - 1, object->size));
  describe(*object, answer);
  if (head.method == "HEAD") {
    answer.no_body = true;
    return answer;
  }
  auto body = context.objects.segments(target.container, target.name, *object, range.offset, range.length);
  if (!body) return refuse(head, {500, std::string(usualCode(500)), body.error().message});
  answer.body = std::move(*body);
  return answer;
}

std::expected<Dialect::Page, Refusal> Dialect::page(const Objects& objects, ListRequest request,
                                                    std::string_view marker, const Settings& settings) const {
  Marker from;
  if (!marker.empty()) {
    const auto known = decodeMarker(marker);
    if (!known) return std::unexpected(Refusal{400, "", "The marker is none that this server gave."});
    from = *known;
    request.start = std::max(request.start, from.start);
  }
  if (settings.empty_pages && !from.after_empty)
    return Page{.result = {}, .next = encodeMarker({.start = request.start, .after_empty = true})};
  if (settings.page_cap != 0) request.max = std::min(request.max, settings.page_cap);
  Page page{.result = listObjects(objects, request), .next = {}};
  if (page.result.next) page.next = encodeMarker({.start = *page.result.next, .after_empty = false});
  return page;
}

HostName hostName(const Head& head) {
  std::string_view host = head.header("host");
  if (!host.starts_with('[')) host = host.substr(0, host.rfind(':'));
  return {.name = std::string(host), .first_label = std::string(host.substr(0, host.find('.')))};
}

}  // namespace forebay::fake
