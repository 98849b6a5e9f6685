// TLS: who is believed, who isn't, and which cipher is used.
#include <cstdio>
#include <filesystem>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "io/http_client.h"
#include "io/http_scripted_server.h"

namespace forebay::io {
namespace {

// A self-signed certificate for one IP address, and a server context that shows it.
struct Certificate {
  explicit Certificate(const char* address)
      : key(EVP_EC_gen("P-256")), x509(X509_new()), context(SSL_CTX_new(TLS_server_method())) {
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509V3_CTX v3;
    X509V3_set_ctx_nodb(&v3);
    X509V3_set_ctx(&v3, x509, x509, nullptr, nullptr, 0);
    for (const auto& [nid, value] : {std::pair{NID_subject_alt_name, std::string("IP:") + address},
                                     std::pair{NID_basic_constraints, std::string("critical,CA:TRUE")}}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &v3, nid, value.c_str());
      X509_add_ext(x509, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(x509, key, EVP_sha256());
    SSL_CTX_use_certificate(context, x509);
    SSL_CTX_use_PrivateKey(context, key);
  }
  ~Certificate() {
    SSL_CTX_free(context);
    X509_free(x509);
    EVP_PKEY_free(key);
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;
  void save(const std::string& path) const {
    FILE* out = std::fopen(path.c_str(), "w");
    PEM_write_X509(out, x509);
    std::fclose(out);
  }
  EVP_PKEY* key;
  X509* x509;
  SSL_CTX* context;
};

class Outcome final : public HttpReceiver {
 public:
  void done(HttpResult r) override { result.give(std::move(r)); }
  Awaited<HttpResult> result;
};

class HttpClientTlsTest : public testing::Test {
 protected:
  HttpClientTlsTest() : ca_(testing::TempDir() + "forebay_tls_test_ca.pem") {
    loop_.in([&] { client_ = std::move(*HttpClient::create(loop_.reactor(), {})); });
  }
  ~HttpClientTlsTest() override {
    loop_.in([&] { client_.reset(); });
    std::filesystem::remove(ca_);
  }
  HttpResult fetch(const ScriptedServer& server, std::string ca_file) {
    Outcome outcome;
    loop_.in([&] { ASSERT_TRUE(client_->start({.url = server.url() + "/", .ca_file = std::move(ca_file)}, outcome)); });
    return outcome.result.wait();
  }
  const std::string ca_;
  LoopThread loop_;
  std::unique_ptr<HttpClient> client_;
};

void sayHi(const ScriptedRequest&, ScriptedReply& reply) {
  reply.answer(200, "", "hi");
}

TEST_F(HttpClientTlsTest, believesAPrivateAuthorityOnlyWhereItIsNamed) {
  const Certificate mine("127.0.0.1");
  mine.save(ca_);
  ScriptedServer server(sayHi, mine.context);
  EXPECT_EQ(fetch(server, "").failure, HttpFailure::Untrusted);
  const HttpResult result = fetch(server, ca_);
  ASSERT_TRUE(result.ok()) << result.why;
  EXPECT_EQ(result.response.body, "hi");
  // What one request trusted, the next doesn't inherit: neither the store nor the pooled connection
  EXPECT_EQ(fetch(server, "").failure, HttpFailure::Untrusted);
}

TEST_F(HttpClientTlsTest, refusesACertificateForAnotherHost) {
  const Certificate other("127.0.0.2");
  other.save(ca_);
  ScriptedServer server(sayHi, other.context);
  EXPECT_EQ(fetch(server, ca_).failure, HttpFailure::Untrusted);
}

TEST_F(HttpClientTlsTest, prefersAes128) {
  const Certificate mine("127.0.0.1");
  mine.save(ca_);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    std::string cipher;
    SSL_CTX_set_max_proto_version(mine.context, version);
    ScriptedServer server(
        [&](const ScriptedRequest&, ScriptedReply& reply) {
          cipher = reply.cipher();
          reply.answer(200, "", "");
        },
        mine.context);
    const HttpResult result = fetch(server, ca_);
    ASSERT_TRUE(result.ok()) << result.why;
    const char* expected = version == TLS1_3_VERSION ? "TLS_AES_128_GCM_SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256";
    EXPECT_EQ(cipher, expected);
  }
}

TEST_F(HttpClientTlsTest, doesNotSpeakOldTls) {
  const Certificate mine("127.0.0.1");
  mine.save(ca_);
  SSL_CTX_set_max_proto_version(mine.context, TLS1_1_VERSION);
  ScriptedServer server(sayHi, mine.context);
  EXPECT_EQ(fetch(server, ca_).failure, HttpFailure::Tls);
}

TEST_F(HttpClientTlsTest, aFileThatIsNoCertificateIsSaidToBe) {
  FILE* out = std::fopen(ca_.c_str(), "w");
  std::fputs("not a certificate\n", out);
  std::fclose(out);
  const Certificate mine("127.0.0.1");
  ScriptedServer server(sayHi, mine.context);
  const HttpResult result = fetch(server, ca_);
  EXPECT_EQ(result.failure, HttpFailure::Local);
  EXPECT_NE(result.why.find("forebay_tls_test_ca.pem"), std::string::npos) << result.why;
}

}  // namespace
}  // namespace forebay::io
