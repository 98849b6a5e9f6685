// The S3 dialect: http://HOST/BUCKET/KEY, or http://BUCKET.localhost/KEY.
//
// Served: GetObject, HeadObject, PutObject (one request), DeleteObject, ListObjectsV2, CreateBucket, HeadBucket.
// Everything else gets NotImplemented. Strict about signatures, dates, regions and payload hashes.
#pragma once

#include "fake_origin/dialect.h"
#include "fake_origin/tokens.h"

namespace forebay::fake {

class S3Dialect : public Dialect {
 public:
  S3Dialect(S3Credentials credentials, Tokens& tokens) : credentials_(std::move(credentials)), tokens_(tokens) {}

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
  Answer put(const Head& head, const Target& target, const ReceivedBody& body, Context& context) const;
  void describeChecksum(const Head& head, const Target& target, Context& context, Answer& answer) const;
  Answer list(const Head& head, const Target& target, Context& context) const;
  Answer bucket(const Head& head, const Target& target, Context& context) const;

  S3Credentials credentials_;
  Tokens& tokens_;  // temporary ones, which are accepted too
};

}  // namespace forebay::fake
