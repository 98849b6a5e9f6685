// Any bytes as a request, through both dialects, credentials aside: no crash, no endless listing, a status that is one.
#include <cstdlib>

#include "fake_origin/azure.h"
#include "fake_origin/s3.h"

namespace forebay::fake {
namespace {

void serve(const Dialect& dialect, const Head& head, Context& context) {
  const auto target = dialect.locate(head);
  if (!target) {
    dialect.refuse(head, target.error());
    return;
  }
  if (const auto refusal = dialect.authenticate(head, *target, context)) dialect.refuse(head, *refusal);
  Answer answer = dialect.serve(head, *target, ReceivedBody{.text = std::make_shared<const std::string>("x")}, context);
  dialect.stamp(head, 1, answer);
  std::uint64_t length = 0;
  for (const Segment& segment : answer.body) length += segment.length;
  if (answer.status < 200 || answer.status > 599 || (!answer.no_body && length != answer.length)) std::abort();
}

}  // namespace
}  // namespace forebay::fake

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay::fake;
  static Tokens tokens;
  static const AzureDialect azure({.name = "acct", .key = "key"}, tokens);
  static const S3Dialect s3({.access_key = "a", .secret_key = "s", .session_token = "", .region = "r"}, tokens);
  std::size_t consumed = 0;
  const auto head = parseHead({reinterpret_cast<const char*>(data), size}, consumed);
  if (!head || !*head) return 0;
  ObjectStore objects;
  for (const char* name : {"a", "a/b", "a/b/c", "b//"})
    objects.put("c", name,
                {.generated_size = {}, .text = std::make_shared<const std::string>("0123456789"), .file = {}}, 0);
  const Settings settings{.anonymous = true};
  Context context{objects, settings, 1'795'255'500};
  serve(azure, **head, context);
  serve(s3, **head, context);
  return 0;
}
