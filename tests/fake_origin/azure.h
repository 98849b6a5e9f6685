// The Azure Blob dialect: http://HOST/ACCOUNT/CONTAINER/BLOB, or http://ACCOUNT.anything/CONTAINER/BLOB.
//
// Served: Get Blob, Get Blob Properties, Put Blob (block blobs, one request), Delete Blob, List Blobs (flat and by
// delimiter), Create Container, Get Container Properties. Everything else gets an error that says so. Where Azurite is
// lax this is strict: dates, signatures, 416 at start = size, unknown `comp` values, ranges that nobody documents.
#pragma once

#include "fake_origin/dialect.h"
#include "fake_origin/tokens.h"

namespace forebay::fake {

class AzureDialect : public Dialect {
 public:
  AzureDialect(AzureAccount account, Tokens& tokens) : account_(std::move(account)), tokens_(tokens) {}

  std::expected<Target, Refusal> locate(const Head& head) const override;
  std::optional<Refusal> authenticate(const Head& head, const Target& target, const Context& context) const override;
  Answer serve(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const override;
  Answer refuse(const Head& head, const Refusal& refusal) const override;
  std::string_view usualCode(int status) const override;
  void stamp(const Head& head, std::uint64_t request, Answer& answer) const override;

 protected:
  std::string etag(const Object& object) const override;
  void describe(const Object& object, Answer& answer) const override;

 private:
  Answer get(const Head& head, const Target& target, Context& context) const;
  Answer put(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const;
  Answer list(const Head& head, const Target& target, Context& context) const;
  Answer container(const Head& head, const Target& target, Context& context) const;
  std::string listXml(const Head& head, const Target& target, const Page& page) const;

  AzureAccount account_;
  Tokens& tokens_;  // temporary ones, which are accepted too
};

}  // namespace forebay::fake
