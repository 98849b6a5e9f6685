#include "fake_origin/s3.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/hash.h"
#include "fake_origin/range.h"

namespace forebay::fake {
namespace {

constexpr std::uint64_t kMaxKeys = 1000;
constexpr const char* kNoBucket = "NoSuchBucket";
constexpr const char* kXmlHead = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

Refusal notImplemented(std::string_view what) {
  return {501, "NotImplemented", fmt::format("{} is not served here.", what)};
}

std::expected<Target, Refusal> locateObject(const Head& head, Target target) {
  for (const auto& [key, value] : head.query)
    if (key != "x-id") return std::unexpected(notImplemented("The parameter " + key));
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
    return std::unexpected(
        Refusal{405, "MethodNotAllowed", "The specified method is not allowed against this resource."});
  }
  return target;
}

std::expected<Target, Refusal> locateBucket(const Head& head, Target target) {
  if (head.method == "GET") {
    if (head.param("list-type") != "2") return std::unexpected(notImplemented("Anything but ListObjectsV2"));
    target.op = Op::List;
    target.access = Access::List;
    target.name = head.param("prefix");
    return target;
  }
  if (!head.query.empty()) return std::unexpected(notImplemented("The parameter " + head.query.front().first));
  if (head.method != "HEAD" && head.method != "PUT") return std::unexpected(notImplemented("This bucket operation"));
  target.op = Op::Container;
  target.access = head.method == "HEAD" ? Access::List : Access::Write;
  return target;
}

// S3 encodes names in listings as forms do: a space is '+', and '/' stays.
std::string listedName(std::string_view name, bool encode) {
  if (!encode) return xml(name);
  std::string text = percentEncode(name, true);
  for (std::size_t at = text.find("%20"); at != std::string::npos; at = text.find("%20", at)) text.replace(at, 3, "+");
  return text;
}

}  // namespace

std::expected<Target, Refusal> S3Dialect::locate(const Head& head) const {
  const HostName host = hostName(head);
  std::string_view path = std::string_view(head.path).substr(1);
  Target target;
  if (host.name.ends_with(".localhost")) {
    target.container = host.name.substr(0, host.name.size() - std::string_view(".localhost").size());
  } else {
    const std::string_view bucket = path.substr(0, path.find('/'));
    target.container = *percentDecode(bucket);  // parseHead has checked the path
    path.remove_prefix(std::min(path.size(), bucket.size() + 1));
  }
  if (target.container.empty()) return std::unexpected(notImplemented("ListBuckets"));
  target.name = *percentDecode(path);
  if (target.name.size() > 1024) return std::unexpected(Refusal{400, "KeyTooLongError", "Your key is too long."});
  return target.name.empty() ? locateBucket(head, std::move(target)) : locateObject(head, std::move(target));
}

std::optional<Refusal> S3Dialect::authenticate(const Head& head, const Target& target, const Context& context) const {
  if (const auto scope = parseS3Authorization(head.header("authorization"))) {
    std::optional<Refusal> ended;
    if (const auto keys = tokens_.useKeys(scope->access_key, context.now_s, ended)) {
      if (ended) return ended;
      return checkS3(head, target.access, {keys->id, keys->secret, keys->session, credentials_.region}, context.now_s,
                     context.settings.anonymous);
    }
  }
  return checkS3(head, target.access, credentials_, context.now_s, context.settings.anonymous);
}

Answer S3Dialect::serve(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const {
  if (!body.sha256_hex.empty() && body.sha256_hex != head.header("x-amz-content-sha256"))
    return refuse(head, {400, "XAmzContentSHA256Mismatch",
                         "The provided 'x-amz-content-sha256' header does not match what was computed."});
  switch (target.op) {
    case Op::Get:
    case Op::Head: {
      Answer answer = read(head, target,
                           {.range = std::string(head.header("range")),
                            .suffix_allowed = true,
                            .ignore_malformed = true,
                            .no_container = kNoBucket,
                            .no_object = "NoSuchKey",
                            .precondition = "PreconditionFailed"},
                           context);
      describeChecksum(head, target, context, answer);
      return answer;
    }
    case Op::List:
      return list(head, target, context);
    case Op::Put:
      return put(head, target, body, context);
    case Op::Delete: {
      if (context.objects.container(target.container) == nullptr)
        return refuse(head, {404, kNoBucket, "The specified bucket does not exist"});
      context.objects.erase(target.container, target.name);  // absent is fine, as in S3
      Answer gone{.status = 204};
      gone.no_body = true;
      return gone;
    }
    case Op::Container:
      return bucket(head, target, context);
    case Op::Other:
      break;
  }
  return refuse(head, notImplemented("This operation"));
}

// Of whole objects only, and to who asks.
void S3Dialect::describeChecksum(const Head& head, const Target& target, Context& context, Answer& answer) const {
  if (answer.status != 200 && answer.status != 206) return;
  const Object* object = context.objects.find(target.container, target.name);
  if (object == nullptr || object->sha256.empty() || answer.length != object->size) return;
  if (head.header("x-amz-checksum-mode") != "ENABLED") return;
  answer.set("x-amz-checksum-sha256", base64(object->sha256));
  answer.set("x-amz-checksum-type", "FULL_OBJECT");
}

Answer S3Dialect::put(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const {
  if (context.objects.container(target.container) == nullptr)
    return refuse(head, {404, kNoBucket, "The specified bucket does not exist"});
  if (head.hasHeader("x-amz-copy-source")) return refuse(head, notImplemented("CopyObject"));
  if (head.hasHeader("content-md5") && head.header("content-md5") != body.md5_base64)
    return refuse(head, {400, "BadDigest", "The Content-MD5 you specified did not match what we received."});
  const Object* old = context.objects.find(target.container, target.name);
  const bool exists =
      head.hasHeader("if-none-match") && old != nullptr && namesEtag(head.header("if-none-match"), etag(*old));
  const bool differs =
      head.hasHeader("if-match") && (old == nullptr || !namesEtag(head.header("if-match"), etag(*old)));
  if (exists || differs)
    return refuse(head, {412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"});
  Object& object = context.objects.put(
      target.container, target.name,
      {.generated_size = {}, .text = body.text, .file = body.file, .file_size = body.size}, context.now_s);
  if (head.hasHeader("content-type")) object.content_type = head.header("content-type");
  for (const auto& [name, value] : head.headers)
    if (name.starts_with("x-amz-meta-")) object.metadata.emplace_back(name.substr(11), value);
  Answer answer;
  answer.set("ETag", etag(object));
  return answer;
}

Answer S3Dialect::bucket(const Head& head, const Target& target, Context& context) const {
  Answer answer;
  if (head.method == "PUT") {
    if (!context.objects.addContainer(target.container))
      return refuse(head, {409, "BucketAlreadyOwnedByYou",
                           "Your previous request to create the named bucket succeeded and you already own it."});
    answer.set("Location", "/" + target.container);
    return answer;
  }
  if (context.objects.container(target.container) == nullptr)
    return refuse(head, {404, kNoBucket, "The specified bucket does not exist"});
  answer.set("x-amz-bucket-region", credentials_.region);
  answer.no_body = true;
  return answer;
}

Answer S3Dialect::list(const Head& head, const Target& target, Context& context) const {
  const Objects* objects = context.objects.container(target.container);
  if (objects == nullptr) return refuse(head, {404, kNoBucket, "The specified bucket does not exist"});
  std::uint64_t max = kMaxKeys;
  if (head.hasParam("max-keys")) {
    const std::string_view text = head.param("max-keys");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), max);
    if (error != std::errc{} || end != text.data() + text.size())
      return refuse(head, {400, "InvalidArgument", "max-keys is no number."});
  }
  max = std::min(max, kMaxKeys);
  ListRequest request{
      .prefix = target.name, .delimiter = std::string(head.param("delimiter")), .start = {}, .max = max};
  if (head.hasParam("start-after")) request.start = std::string(head.param("start-after")) + '\0';
  const auto result = page(*objects, request, head.param("continuation-token"), context.settings);
  if (!result) return refuse(head, {400, "InvalidArgument", "The continuation token provided is incorrect"});

  const bool encode = head.param("encoding-type") == "url";
  std::string contents, prefixes;
  for (const ListItem& item : result->result.items) {
    const std::string name = listedName(item.name, encode);
    if (item.object == nullptr) {
      prefixes += fmt::format("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", name);
    } else {
      contents += fmt::format(
          "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size>"
          "<StorageClass>STANDARD</StorageClass></Contents>",
          name, isoDate(item.object->mtime_s), xml(etag(*item.object)), item.object->size);
    }
  }
  std::string text = fmt::format(
      "{}<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{}</Prefix>"
      "<KeyCount>{}</KeyCount><MaxKeys>{}</MaxKeys><IsTruncated>{}</IsTruncated>",
      kXmlHead, xml(target.container), listedName(target.name, encode), result->result.items.size(), max,
      !result->next.empty());
  if (encode) text += "<EncodingType>url</EncodingType>";
  if (!request.delimiter.empty())
    text += fmt::format("<Delimiter>{}</Delimiter>", listedName(request.delimiter, encode));
  if (!result->next.empty())
    text += fmt::format("<NextContinuationToken>{}</NextContinuationToken>", xml(result->next));
  Answer answer;
  answer.set("Content-Type", "application/xml");
  answer.text(text + contents + prefixes + "</ListBucketResult>");
  return answer;
}

Answer S3Dialect::refuse(const Head& head, const Refusal& refusal) const {
  Answer answer{.status = refusal.status};
  if (refusal.code == "AuthorizationHeaderMalformed") answer.set("x-amz-bucket-region", credentials_.region);
  if (head.method == "HEAD") {  // no body, so no code: clients have the status alone
    answer.no_body = true;
    return answer;
  }
  answer.set("Content-Type", "application/xml");
  answer.text(fmt::format("{}<Error><Code>{}</Code><Message>{}</Message><Resource>{}</Resource></Error>", kXmlHead,
                          refusal.code, xml(refusal.message), xml(head.path)));
  return answer;
}

std::string_view S3Dialect::usualCode(int status) const {
  switch (status) {
    case 403:
      return "AccessDenied";
    case 404:
      return "NoSuchKey";
    case 412:
      return "PreconditionFailed";
    case 429:
      return "TooManyRequests";
    case 503:
      return "SlowDown";
    default:
      return "InternalError";
  }
}

void S3Dialect::stamp(const Head&, std::uint64_t request, Answer& answer) const {
  answer.set("x-amz-request-id", fmt::format("{:016X}", request));
}

std::string S3Dialect::etag(const Object& object) const {
  if (!object.md5.empty()) return fmt::format("\"{}\"", hex(bytesOf(object.md5)));
  return fmt::format("\"{:016x}{:016x}-2\"", object.tag, mix64(object.tag));  // as of an object that was put in parts
}

void S3Dialect::describe(const Object& object, Answer& answer) const {
  for (const auto& [name, value] : object.metadata) answer.set("x-amz-meta-" + name, value);
}

}  // namespace forebay::fake
