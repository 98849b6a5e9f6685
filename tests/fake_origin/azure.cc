#include "fake_origin/azure.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "fake_origin/range.h"

namespace forebay::fake {
namespace {

constexpr std::uint64_t kMaxResults = 5000;
constexpr std::uint64_t kMaxRangeMd5 = 4 * kMiB;

Refusal unknownOperation(std::string_view what) {
  return {400, "InvalidQueryParameterValue", fmt::format("{} is no operation that this server knows.", what)};
}

// A blob's operations by method; sub-resources are refused by name.
std::expected<Target, Refusal> locateBlob(const Head& head, Target target) {
  if (head.hasParam("comp")) return std::unexpected(unknownOperation(fmt::format("comp={}", head.param("comp"))));
  if (head.hasParam("snapshot") || head.hasParam("versionid"))
    return std::unexpected(Refusal{501, "NotImplemented", "Snapshots and versions are not served here."});
  if (head.method == "GET") {
    target.op = Op::Get;
  } else if (head.method == "HEAD") {
    target.op = Op::Head;
  } else if (head.method == "PUT") {
    target.op = Op::Put;
    target.access = Access::Write;
  } else if (head.method == "DELETE") {
    target.op = Op::Delete;
    target.access = Access::Delete;
  } else {
    return std::unexpected(Refusal{405, "UnsupportedHttpVerb", "The resource doesn't support this verb."});
  }
  return target;
}

std::expected<Target, Refusal> locateContainer(const Head& head, Target target) {
  if (head.param("restype") != "container")
    return std::unexpected(unknownOperation("a container's URL without restype=container"));
  const bool reads = head.method == "GET" || head.method == "HEAD";
  if (head.method == "GET" && head.param("comp") == "list") {
    target.op = Op::List;
    target.access = Access::List;
    target.name = head.param("prefix");
    return target;
  }
  if (head.hasParam("comp")) return std::unexpected(unknownOperation(fmt::format("comp={}", head.param("comp"))));
  if (!reads && head.method != "PUT")
    return std::unexpected(Refusal{501, "NotImplemented", "This operation on a container is not served here."});
  target.op = Op::Container;
  target.access = reads ? Access::Read : Access::Write;
  return target;
}

}  // namespace

std::expected<Target, Refusal> AzureDialect::locate(const Head& head) const {
  const HostName host = hostName(head);
  std::string_view path = std::string_view(head.path).substr(1);
  if (host.first_label != account_.name || host.name == account_.name) {
    const std::string_view account = path.substr(0, path.find('/'));
    if (account != account_.name)
      return std::unexpected(Refusal{404, "ResourceNotFound", "Neither host nor path name the account served here."});
    path.remove_prefix(std::min(path.size(), account.size() + 1));
  }
  const std::string_view container = path.substr(0, path.find('/'));
  if (container.empty())
    return std::unexpected(Refusal{501, "NotImplemented", "Operations on the account are not served here."});
  path.remove_prefix(std::min(path.size(), container.size() + 1));
  Target target;
  target.container = *percentDecode(container);  // parseHead has checked the path
  target.name = *percentDecode(path);
  if (target.name.size() > 1024)
    return std::unexpected(
        Refusal{400, "InvalidResourceName", "The specified resource name is longer than 1,024 bytes."});
  return target.name.empty() ? locateContainer(head, std::move(target)) : locateBlob(head, std::move(target));
}

std::optional<Refusal> AzureDialect::authenticate(const Head& head, const Target& target,
                                                  const Context& context) const {
  const std::string_view version = head.header("x-ms-version");
  if (!version.empty() && (version.size() != 10 || !parseIsoDate(version)))
    return Refusal{400, "InvalidHeaderValue", "x-ms-version is no version."};
  if (const std::string_view given = head.header("authorization"); given.starts_with("Bearer ")) {
    if (version < "2017-11-09")
      return Refusal{400, "InvalidHeaderValue", "Access tokens need x-ms-version 2017-11-09 or later."};
    return tokens_.useBearer(given.substr(7), context.now_s);
  }
  const bool on_container = target.op == Op::List || target.op == Op::Container;
  return checkAzure(head,
                    {.container = target.container, .blob = on_container ? "" : target.name, .access = target.access},
                    account_, context.now_s, context.settings.anonymous);
}

Answer AzureDialect::serve(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const {
  switch (target.op) {
    case Op::Get:
    case Op::Head:
      return get(head, target, context);
    case Op::List:
      return list(head, target, context);
    case Op::Put:
      return put(head, target, body, context);
    case Op::Delete:
      if (!context.objects.erase(target.container, target.name))
        return refuse(head, {404, "BlobNotFound", "The specified blob does not exist."});
      return Answer{.status = 202};
    case Op::Container:
      return container(head, target, context);
    case Op::Other:
      break;
  }
  return refuse(head, unknownOperation("This"));
}

Answer AzureDialect::get(const Head& head, const Target& target, Context& context) const {
  if (head.hasHeader("x-ms-range-get-content-crc64"))
    return refuse(head, {400, "UnsupportedHeader", "CRC64s of ranges are not served here."});
  const auto range = head.hasHeader("x-ms-range") ? head.header("x-ms-range") : head.header("range");
  const bool wants_md5 = head.header("x-ms-range-get-content-md5") == "true";
  if (wants_md5 && range.empty())
    return refuse(head, {400, "InvalidHeaderValue", "x-ms-range-get-content-md5 needs a range."});
  Answer answer = read(head, target,
                       {.range = target.op == Op::Get ? std::string(range) : std::string(),  // a HEAD has no range here
                        .no_container = "ContainerNotFound",
                        .no_object = "BlobNotFound",
                        .precondition = "ConditionNotMet"},
                       context);
  if (!wants_md5 || answer.status != 206) return answer;
  if (answer.length > kMaxRangeMd5)
    return refuse(head, {400, "OutOfRangeInput", "A checksum is given for ranges of at most 4 MiB."});
  const Object* object = context.objects.find(target.container, target.name);
  const auto md5 = context.objects.digestOf(Hasher::Kind::Md5, target.container, target.name, *object,
                                            answer.content_offset, answer.length);
  if (!md5) return refuse(head, {500, "InternalError", md5.error().message});
  answer.set("Content-MD5", base64(*md5));
  return answer;
}

Answer AzureDialect::put(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const {
  if (context.objects.container(target.container) == nullptr)
    return refuse(head, {404, "ContainerNotFound", "The specified container does not exist."});
  if (head.hasHeader("x-ms-copy-source")) return refuse(head, {501, "NotImplemented", "Copies are not served here."});
  if (head.header("x-ms-blob-type") != "BlockBlob")
    return refuse(head, {400, "InvalidHeaderValue", "x-ms-blob-type must be BlockBlob here."});
  if (head.hasHeader("content-md5") && head.header("content-md5") != body.md5_base64)
    return refuse(
        head, {400, "Md5Mismatch",
               "The MD5 value specified in the request did not match with the MD5 value calculated by the server."});
  const Object* old = context.objects.find(target.container, target.name);
  if (head.hasHeader("if-none-match") && old != nullptr && namesEtag(head.header("if-none-match"), etag(*old)))
    return refuse(head, {409, "BlobAlreadyExists", "The specified blob already exists."});
  if (head.hasHeader("if-match") && (old == nullptr || !namesEtag(head.header("if-match"), etag(*old))))
    return refuse(head,
                  {412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."});
  Object& object = context.objects.put(
      target.container, target.name,
      {.generated_size = {}, .text = body.text, .file = body.file, .file_size = body.size}, context.now_s);
  const std::string_view type =
      head.hasHeader("x-ms-blob-content-type") ? head.header("x-ms-blob-content-type") : head.header("content-type");
  if (!type.empty()) object.content_type = type;
  for (const auto& [name, value] : head.headers)
    if (name.starts_with("x-ms-meta-")) object.metadata.emplace_back(name.substr(10), value);
  Answer answer{.status = 201};
  answer.set("ETag", etag(object));
  answer.set("Last-Modified", httpDate(object.mtime_s));
  answer.set("x-ms-request-server-encrypted", "true");
  return answer;
}

Answer AzureDialect::container(const Head& head, const Target& target, Context& context) const {
  Answer answer;
  if (head.method == "PUT") {
    if (!context.objects.addContainer(target.container))
      return refuse(head, {409, "ContainerAlreadyExists", "The specified container already exists."});
    answer.status = 201;
  } else if (context.objects.container(target.container) == nullptr) {
    return refuse(head, {404, "ContainerNotFound", "The specified container does not exist."});
  }
  answer.set("ETag", "\"0x1\"");
  answer.set("Last-Modified", httpDate(context.now_s));
  answer.no_body = head.method == "HEAD";
  return answer;
}

Answer AzureDialect::list(const Head& head, const Target& target, Context& context) const {
  const Objects* objects = context.objects.container(target.container);
  if (objects == nullptr) return refuse(head, {404, "ContainerNotFound", "The specified container does not exist."});
  std::uint64_t max = kMaxResults;
  if (head.hasParam("maxresults")) {
    const std::string_view text = head.param("maxresults");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), max);
    if (error != std::errc{} || end != text.data() + text.size() || max == 0)
      return refuse(head, {400, "OutOfRangeQueryParameterValue", "maxresults must be at least 1."});
  }
  const ListRequest request{.prefix = target.name,
                            .delimiter = std::string(head.param("delimiter")),
                            .start = {},
                            .max = std::min(max, kMaxResults)};
  const auto result = page(*objects, request, head.param("marker"), context.settings);
  if (!result) return refuse(head, {400, "OutOfRangeInput", result.error().message});
  Answer answer;
  answer.set("Content-Type", "application/xml");
  answer.text(listXml(head, target, *result));
  return answer;
}

std::string AzureDialect::listXml(const Head& head, const Target& target, const Page& page) const {
  const auto name = [](std::string_view text) {
    return fitsXml(text) ? fmt::format("<Name>{}</Name>", xml(text))
                         : fmt::format("<Name Encoded=\"true\">{}</Name>", percentEncode(text, true));
  };
  std::string text = fmt::format(
      "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults "
      "ServiceEndpoint=\"http://{}/\" ContainerName=\"{}\">",
      xml(head.header("host")), xml(target.container));
  for (const auto& [element, key] :
       {std::pair{"Prefix", "prefix"}, {"Marker", "marker"}, {"MaxResults", "maxresults"}, {"Delimiter", "delimiter"}})
    if (head.hasParam(key)) text += fmt::format("<{0}>{1}</{0}>", element, xml(head.param(key)));
  text += "<Blobs>";
  for (const ListItem& item : page.result.items) {
    if (item.object == nullptr) {
      text += fmt::format("<BlobPrefix>{}</BlobPrefix>", name(item.name));
      continue;
    }
    const std::string tag = etag(*item.object);
    const std::string date = httpDate(item.object->mtime_s);
    // The service lists ETags without the quotes that they have in headers.
    const std::string md5 = item.object->md5.empty()
                                ? "<Content-MD5/>"
                                : fmt::format("<Content-MD5>{}</Content-MD5>", base64(item.object->md5));
    text += fmt::format(
        "<Blob>{}<Properties><Creation-Time>{}</Creation-Time><Last-Modified>{}</Last-Modified><Etag>{}</Etag>"
        "<Content-Length>{}</Content-Length><Content-Type>{}</Content-Type><Content-Encoding/><Content-Language/>"
        "{}<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><LeaseStatus>unlocked</LeaseStatus>"
        "<LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted></Properties><OrMetadata/></Blob>",
        name(item.name), date, date, tag.substr(1, tag.size() - 2), item.object->size, xml(item.object->content_type),
        md5);
  }
  text +=
      page.next.empty() ? "</Blobs><NextMarker/>" : fmt::format("</Blobs><NextMarker>{}</NextMarker>", xml(page.next));
  return text + "</EnumerationResults>";
}

Answer AzureDialect::refuse(const Head& head, const Refusal& refusal) const {
  Answer answer{.status = refusal.status};
  answer.set("x-ms-error-code", refusal.code);
  if (refusal.status == 401)
    answer.set("WWW-Authenticate",
               "Bearer authorization_uri=https://login.example.invalid/ resource_id=https://storage.example.invalid");
  if (head.method == "HEAD") {  // no body, and the code only in the header
    answer.no_body = true;
    return answer;
  }
  answer.set("Content-Type", "application/xml");
  answer.text(fmt::format(
      "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{}</Code><Message>{}</Message></Error>",
      refusal.code, xml(refusal.message)));
  return answer;
}

std::string_view AzureDialect::usualCode(int status) const {
  switch (status) {
    case 403:
      return "AuthorizationFailure";
    case 404:
      return "BlobNotFound";
    case 412:
      return "ConditionNotMet";
    case 429:
    case 503:
      return "ServerBusy";
    default:
      return "InternalError";
  }
}

void AzureDialect::stamp(const Head& head, std::uint64_t request, Answer& answer) const {
  answer.set("x-ms-request-id", fmt::format("{:08x}-0000-0000-0000-000000000000", request));
  answer.set("x-ms-version", std::string(head.hasHeader("x-ms-version") ? head.header("x-ms-version") : "2025-11-05"));
  if (head.hasHeader("x-ms-client-request-id"))
    answer.set("x-ms-client-request-id", std::string(head.header("x-ms-client-request-id")));
}

std::string AzureDialect::etag(const Object& object) const {
  return fmt::format("\"0x{:016X}\"", object.tag);
}

void AzureDialect::describe(const Object& object, Answer& answer) const {
  answer.set("x-ms-blob-type", "BlockBlob");
  answer.set("x-ms-creation-time", httpDate(object.mtime_s));
  answer.set("x-ms-lease-status", "unlocked");
  answer.set("x-ms-lease-state", "available");
  answer.set("x-ms-server-encrypted", "true");
  for (const auto& [name, value] : object.metadata) answer.set("x-ms-meta-" + name, value);
}

}  // namespace forebay::fake
