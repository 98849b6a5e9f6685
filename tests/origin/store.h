// An object store that a test talks to, and how a test puts objects there.
//
//   fake      forebay_fake_origin, started for the test program
//   Azurite   FOREBAY_TEST_AZURE_URL=http://127.0.0.1:PORT/devstoreaccount1
//             (FOREBAY_TEST_AZURE_ACCOUNT, FOREBAY_TEST_AZURE_KEY: the emulators' published ones by default)
//   S3        FOREBAY_TEST_S3_URL=http://127.0.0.1:PORT
//             (FOREBAY_TEST_S3_KEY_ID, FOREBAY_TEST_S3_KEY: those of scripts/real_servers.sh by default)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "origin/make_origin.h"

namespace forebay::origin {

enum class StoreKind { FakeAzure, FakeS3, Azure, S3 };

struct Store {
  bool azure = false;
  std::string endpoint;
  std::string account, key;  // Azure: account and base64 key; S3: key id and secret

  OriginConfig config() const;
  OriginUrl url(const std::string& container, const std::string& prefix) const;
  // Both abort the test program if the store refuses: nothing could be tested then.
  void makeContainer(const std::string& container) const;
  void put(const std::string& container, const std::string& name, std::string_view bytes) const;
};

// Nothing where the environment names no such store.
std::optional<Store> storeOf(StoreKind kind);

}  // namespace forebay::origin
