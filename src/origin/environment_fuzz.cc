// Any bytes as an AWS credentials file or an Azure connection string.
#include "origin/environment.h"

using namespace forebay::origin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)parseProfiles(text);
  (void)parseConnectionString(text);
  const Environment environment{.variable = [&](const char* name) -> std::string {
                                  return std::string_view(name) == "AZURE_STORAGE_CONNECTION_STRING" ? text : "";
                                },
                                .file = [&](const std::string&) -> std::optional<std::string> { return text; }};
  for (const char* url : {"az://acct/data", "s3://bucket"}) {
    OriginConfig config;
    (void)fillFromEnvironment(*parseUrl(url), config, environment);
  }
  return 0;
}
