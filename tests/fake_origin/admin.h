// The admin port: JSON over HTTP, to look at what happened and to change what happens. README.md has every endpoint.
#pragma once

#include <boost/json/value.hpp>

#include "fake_origin/service.h"

namespace forebay::fake {

class Admin : public Handler {
 public:
  explicit Admin(World& world) : world_(world) {}
  void begin(Exchange&) override {}
  void answer(Exchange& exchange) override;
  void ended(Exchange&) override {}
  const Settings& settings() const override { return own_settings_; }

  // One request. `body` is null where there was none. Errors become 400 with their text.
  Result<boost::json::value> handle(std::string_view method, std::string_view path, const boost::json::value& body);

 private:
  Result<boost::json::value> post(std::string_view path, const boost::json::value& body);
  Status changeSettings(const boost::json::value& body);
  Result<boost::json::value> addFaults(const boost::json::value& body);
  Status addObject(const boost::json::value& body);
  Status deleteObject(const boost::json::value& body);
  Status changeObject(const boost::json::value& body);
  Status changeIssuer(const boost::json::value& body);
  Result<boost::json::value> delegationKey(const boost::json::value& body) const;
  Status addContainer(const boost::json::value& body);
  Status reset(const boost::json::value& body);

  World& world_;
  Settings own_settings_;  // the admin port has neither latency nor rate
};

}  // namespace forebay::fake
