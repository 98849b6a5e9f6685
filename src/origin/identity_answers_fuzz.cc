// Any bytes as the answer of an issuer of credentials, as its error, as a profile file and as a field of an identity:
// what is taken can stand in a header, lives for a bounded time, and errors show nothing of the answer.
#include <cstdlib>

#include "origin/aws_profile.h"
#include "origin/identity_answers.h"

namespace {

void check(const forebay::Result<forebay::origin::Credential>& credential) {
  if (!credential) return;
  if (credential->nothing() || credential->lifetime.count() < 0) std::abort();
  for (const std::string* text : {&credential->bearer.reveal(), &credential->access_key_id,
                                  &credential->secret_access_key.reveal(), &credential->session_token.reveal()})
    if (!text->empty() && !forebay::origin::isToken(*text)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace forebay::origin;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::int64_t kNow = 1'795'000'000'000'000'000;
  check(parseAzureToken(text, kNow));
  check(parseMetadataKeys(text, kNow));
  check(parseStsKeys(text, kNow));
  for (const std::string& word : {azureErrorWord(text), metadataErrorWord(text), stsErrorWord(text)})
    if (word.size() > 64 + 2 + 20) std::abort();

  const Environment environment{.variable = [](const char*) { return std::string(); },
                                .file = [&](const std::string&) { return std::optional<std::string>(text); }};
  if (const auto files = readSharedFiles(environment)) {
    const auto found = resolveProfile(*files, environment);
    if (found && found->identity.roles.size() > kMaxRoles) std::abort();
  }
  Identity identity;
  const auto equals = text.find('=');
  if (equals != std::string_view::npos && setField(identity, text.substr(0, equals), text.substr(equals + 1)) &&
      identity.roles.size() > kMaxRoles)
    std::abort();
  return 0;
}
