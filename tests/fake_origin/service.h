// One dialect's port: authentication, faults and statistics around a Dialect. What the two ports share is World.
#pragma once

#include <memory>

#include "fake_origin/dialect.h"
#include "fake_origin/faults.h"
#include "fake_origin/objects.h"
#include "fake_origin/server.h"
#include "fake_origin/stats.h"
#include "fake_origin/tokens.h"

namespace forebay::fake {

struct World {
  ObjectStore objects;
  Settings settings;
  Settings initial_settings;  // what POST /reset goes back to
  Faults faults;
  Stats stats;
  Tokens tokens;
  AzureAccount account;  // for user delegation keys
  std::string root;
  bool decode_names = false;

  std::int64_t nowSeconds() const;  // our clock, wrong by Settings::clock_offset_s
};

class Service : public Handler {
 public:
  Service(World& world, std::unique_ptr<Dialect> dialect) : world_(world), dialect_(std::move(dialect)) {}

  void begin(Exchange& exchange) override;
  void answer(Exchange& exchange) override;
  void ended(Exchange& exchange) override;
  void connected() override { world_.stats.connected(); }
  void malformed() override { world_.stats.malformed(); }
  const Settings& settings() const override { return world_.settings; }

 private:
  Context context() { return {world_.objects, world_.settings, world_.nowSeconds()}; }
  void refuse(Exchange& exchange, const Refusal& refusal) const;
  void before(const Fault& fault, Exchange& exchange);       // what happens to the object or instead of the answer
  void after(const Fault& fault, Exchange& exchange) const;  // what happens to the answer

  World& world_;
  std::unique_ptr<Dialect> dialect_;
  std::uint64_t next_request_id_ = 1;
};

}  // namespace forebay::fake
