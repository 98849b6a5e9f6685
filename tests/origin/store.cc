#include "store.h"

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <curl/curl.h>
#include <fmt/format.h>

#include "base/hash.h"
#include "io/reactor.h"
#include "origin/azure.h"
#include "origin/encoding.h"
#include "origin/shared_key.h"
#include "origin/sigv4.h"

namespace forebay::origin {
namespace {

constexpr const char* kEmulatorAccount = "devstoreaccount1";
constexpr const char* kEmulatorKey =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

// Started once; it ends with this program.
const boost::json::object& fake() {
  static const boost::json::object ports = [] {
    FILE* out = popen("exec '" FOREBAY_FAKE_ORIGIN "' --die-with-parent", "r");
    char line[4096];
    if (out == nullptr || std::fgets(line, sizeof line, out) == nullptr) {
      std::fputs("forebay_fake_origin doesn't start\n", stderr);
      std::abort();
    }
    return boost::json::parse(line).as_object();
  }();
  return ports;
}

std::size_t append(char* data, std::size_t, std::size_t size, void* to) {
  static_cast<std::string*>(to)->append(data, size);
  return size;
}

void sendPut(const std::string& url, const std::vector<std::string>& headers, std::string_view bytes) {
  CURL* easy = curl_easy_init();
  curl_slist* list = curl_slist_append(nullptr, "Content-Type:");
  list = curl_slist_append(list, "Expect:");
  for (const auto& header : headers) list = curl_slist_append(list, header.c_str());
  std::string answer;
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(bytes.size()));
  const std::string body(bytes);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT, 60L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &append);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
  const CURLcode code = curl_easy_perform(easy);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_cleanup(easy);
  curl_slist_free_all(list);
  if (code == CURLE_OK && status / 100 == 2) return;
  fmt::print(stderr, "PUT {}: {} {} {}\n", url, curl_easy_strerror(code), status, answer);
  std::abort();
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

void putAzure(const Store& store, const std::string& path, const Pairs& query, Pairs headers, std::string_view bytes) {
  const Endpoint endpoint = *parseEndpoint(store.endpoint);
  headers.emplace_back("x-ms-date", httpDate(io::Reactor::wallNs()));
  headers.emplace_back("x-ms-version", kAzureApiVersion);
  const std::string whole = endpoint.base_path + path;
  const std::string length = bytes.empty() ? "" : fmt::to_string(bytes.size());
  std::string url = "http://" + endpoint.authority + whole;
  for (const auto& [name, value] : query) url += (&value == &query[0].second ? '?' : '&') + name + '=' + value;
  std::vector<std::string> lines;
  for (const auto& [name, value] : headers) lines.push_back(name + ": " + value);
  lines.push_back("Authorization: " + sharedKeyAuthorization({.verb = "PUT",
                                                              .account = store.account,
                                                              .path = whole,
                                                              .query = query,
                                                              .ms_headers = headers,
                                                              .if_match = "",
                                                              .content_length = length},
                                                             *base64Decode(store.key)));
  sendPut(url, lines, bytes);
}

void putS3(const Store& store, const std::string& path, std::string_view bytes) {
  const Endpoint endpoint = *parseEndpoint(store.endpoint);
  const std::string digest = hex(sha256(bytesOf(bytes))), time = compactIsoTime(io::Reactor::wallNs());
  Pairs headers = {{"x-amz-content-sha256", digest}, {"x-amz-date", time}};
  std::vector<std::string> lines;
  for (const auto& [name, value] : headers) lines.push_back(name + ": " + value);
  headers.emplace_back("host", endpoint.authority);
  lines.push_back("Authorization: " + sigV4Authorization({.verb = "PUT",
                                                          .path = path,
                                                          .query = {},
                                                          .headers = headers,
                                                          .region = "us-east-1",
                                                          .service = "s3",
                                                          .time = time,
                                                          .body_sha256 = digest},
                                                         store.account, store.key));
  sendPut("http://" + endpoint.authority + path, lines, bytes);
}

}  // namespace

OriginConfig Store::config() const {
  OriginConfig config;
  config.endpoint = endpoint;
  if (azure)
    config.azure = {Secret(key), {}, "the test"};
  else
    config.s3 = {account, Secret(key), {}, "the test"};
  return config;
}

OriginUrl Store::url(const std::string& container, const std::string& prefix) const {
  const std::string text =
      azure ? fmt::format("az://{}/{}/{}", account, container, prefix) : fmt::format("s3://{}/{}", container, prefix);
  return *parseUrl(text);
}

void Store::makeContainer(const std::string& container) const {
  if (azure)
    putAzure(*this, "/" + container, {{"restype", "container"}}, {}, "");
  else
    putS3(*this, "/" + container, "");
}

void Store::put(const std::string& container, const std::string& name, std::string_view bytes) const {
  const std::string path = "/" + container + "/" + percentEncodePath(name);
  if (azure)
    putAzure(*this, path, {}, {{"x-ms-blob-type", "BlockBlob"}}, bytes);
  else
    putS3(*this, path, bytes);
}

std::optional<Store> storeOf(StoreKind kind) {
  switch (kind) {
    case StoreKind::FakeAzure:
      return Store{true, fake().at("azure").as_string().c_str(), kEmulatorAccount, kEmulatorKey};
    case StoreKind::FakeS3:
      return Store{false, fake().at("s3").as_string().c_str(), "forebay-test", "forebay-test-secret"};
    case StoreKind::Azure:
      if (std::getenv("FOREBAY_TEST_AZURE_URL") == nullptr) return std::nullopt;
      return Store{true, variable("FOREBAY_TEST_AZURE_URL", ""),
                   variable("FOREBAY_TEST_AZURE_ACCOUNT", kEmulatorAccount),
                   variable("FOREBAY_TEST_AZURE_KEY", kEmulatorKey)};
    case StoreKind::S3:
      if (std::getenv("FOREBAY_TEST_S3_URL") == nullptr) return std::nullopt;
      return Store{false, variable("FOREBAY_TEST_S3_URL", ""), variable("FOREBAY_TEST_S3_KEY_ID", "forebay-test"),
                   variable("FOREBAY_TEST_S3_KEY", "forebay-test-secret")};
  }
  return std::nullopt;
}

}  // namespace forebay::origin
