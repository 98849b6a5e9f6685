#include "fake_origin/admin.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <functional>

#include "fake_origin/json.h"

namespace forebay::fake {
namespace json = boost::json;

namespace {

json::object toJson(const Settings& settings) {
  return {{"latency_ms", settings.latency_ms},
          {"rate_bytes", settings.rate_bytes},
          {"page_cap", settings.page_cap},
          {"empty_pages", settings.empty_pages},
          {"clock_offset_s", settings.clock_offset_s},
          {"anonymous", settings.anonymous},
          {"idle_timeout_ms", settings.idle_timeout_ms}};
}

// Applies `each` to a value, or to every element of an array.
Status forEach(const json::value& body, const std::function<Status(const json::value&)>& each) {
  if (!body.is_array()) return each(body);
  for (const json::value& item : body.get_array()) TRY(each(item));
  return {};
}

struct Named {
  std::string container;
  std::string name;
};
Result<Named> readName(JsonReader& reader) {
  Named named;
  named.container = TRY(reader.text("container", ""));
  named.name = TRY(reader.text("name", ""));
  if (named.container.empty() || named.name.empty())
    return fail(Code::InvalidArgument, "container and name must be given");
  return named;
}

}  // namespace

void Admin::answer(Exchange& exchange) {
  json::value body;
  boost::system::error_code error;
  const std::string_view text = exchange.body.text ? std::string_view(*exchange.body.text) : std::string_view{};
  if (exchange.body.file)
    error = boost::system::errc::make_error_code(boost::system::errc::file_too_large);
  else if (!text.empty())
    body = json::parse(text, error);
  Result<json::value> result =
      error ? Result<json::value>(fail(Code::InvalidArgument, "the body is no JSON, or larger than 256 KiB"))
            : handle(exchange.head.method, exchange.head.path, body);
  if (!result) {
    exchange.answer.status = result.error().code == Code::NotFound ? 404 : 400;
    result = json::object{{"error", result.error().message}};
  }
  exchange.answer.set("Content-Type", "application/json");
  exchange.answer.text(json::serialize(*result) + "\n");
}

Result<json::value> Admin::handle(std::string_view method, std::string_view path, const json::value& body) {
  if (method == "GET" && path == "/healthz") return json::object{{"ok", true}};
  if (method == "GET" && path == "/stats") return world_.stats.toJson();
  if (method == "GET" && path == "/settings") return toJson(world_.settings);
  if (method == "GET" && path == "/issuer") return world_.tokens.toJson();
  if (method == "GET" && path == "/requests") {
    json::array list;
    for (const RequestRecord& record : world_.stats.records()) list.push_back(fake::toJson(record));
    return list;
  }
  if (method == "GET" && path == "/faults") {
    json::array list;
    for (const auto& active : world_.faults.rules()) list.push_back(fake::toJson(active.rule));
    return list;
  }
  if (method == "DELETE" && path == "/faults") {
    world_.faults.clear();
    return json::object{};
  }
  if (method == "POST") return post(path, body);
  return fail(Code::NotFound, fmt::format("{} {}: no such endpoint", method, path));
}

Result<json::value> Admin::post(std::string_view path, const json::value& body) {
  if (path == "/faults") return addFaults(body);
  if (path == "/settings") {
    TRY(changeSettings(body));
    return toJson(world_.settings);
  }
  if (path == "/delegation-key") return delegationKey(body);
  if (path == "/issuer") {
    TRY(changeIssuer(body));
    return world_.tokens.toJson();
  }
  if (path == "/issuer/revoke") {
    world_.tokens.revokeAll();
    return json::object{};
  }
  if (path == "/objects") {
    TRY(forEach(body, [this](const json::value& item) { return addObject(item); }));
  } else if (path == "/objects/delete") {
    TRY(forEach(body, [this](const json::value& item) { return deleteObject(item); }));
  } else if (path == "/objects/change") {
    TRY(forEach(body, [this](const json::value& item) { return changeObject(item); }));
  } else if (path == "/containers") {
    TRY(addContainer(body));
  } else if (path == "/rescan") {
    if (world_.root.empty()) return fail(Code::InvalidArgument, "there is nothing to scan: start with --root");
    TRY(world_.objects.scan(world_.root, world_.decode_names));
  } else if (path == "/reset") {
    TRY(reset(body));
  } else {
    return fail(Code::NotFound, fmt::format("POST {}: no such endpoint", path));
  }
  return json::object{};
}

Status Admin::changeSettings(const json::value& body) {
  JsonReader reader = TRY(JsonReader::of(body, "settings"));
  constexpr std::uint64_t kHour = 3'600'000;
  Settings next = world_.settings;
  next.latency_ms = TRY(reader.number("latency_ms", next.latency_ms, kHour));
  next.rate_bytes = TRY(reader.number("rate_bytes", next.rate_bytes, 1ULL << 50));
  next.page_cap = TRY(reader.number("page_cap", next.page_cap));
  next.empty_pages = TRY(reader.flag("empty_pages", next.empty_pages));
  next.clock_offset_s = TRY(reader.signedNumber("clock_offset_s", next.clock_offset_s));
  next.anonymous = TRY(reader.flag("anonymous", next.anonymous));
  next.idle_timeout_ms = TRY(reader.number("idle_timeout_ms", next.idle_timeout_ms, 24 * kHour));
  TRY(reader.finish());
  world_.settings = next;
  return {};
}

Status Admin::changeIssuer(const json::value& body) {
  JsonReader reader = TRY(JsonReader::of(body, "issuer"));
  TokenSettings next = world_.tokens.settings;
  next.lifetime_s = TRY(reader.number("lifetime_s", next.lifetime_s, 1ULL << 32));
  next.max_uses = TRY(reader.number("max_uses", next.max_uses));
  next.assertion = TRY(reader.text("assertion", next.assertion));
  next.numbers_as_text = TRY(reader.flag("numbers_as_text", next.numbers_as_text));
  TRY(reader.finish());
  world_.tokens.settings = next;
  return {};
}

Result<json::value> Admin::delegationKey(const json::value& body) const {
  JsonReader reader = TRY(JsonReader::of(body, "delegation key"));
  DelegationKey key{
      .oid = "forebay-oid", .tid = "forebay-tenant", .start = {}, .expiry = {}, .service = "b", .version = {}};
  key.start = TRY(reader.text("start", ""));
  key.expiry = TRY(reader.text("expiry", ""));
  key.version = TRY(reader.text("version", "2025-11-05"));
  TRY(reader.finish());
  return json::object{{"oid", key.oid},
                      {"tid", key.tid},
                      {"start", key.start},
                      {"expiry", key.expiry},
                      {"service", key.service},
                      {"version", key.version},
                      {"value", delegationKeyValue(key, world_.account)}};
}

Result<json::value> Admin::addFaults(const json::value& body) {
  json::array ids;
  const json::array rules = body.is_array() ? body.get_array() : json::array{body};
  for (const json::value& item : rules) {
    FaultRule rule = TRY(parseFaultRule(item));
    ids.push_back(TRY(world_.faults.add(std::move(rule))));
  }
  return json::object{{"ids", std::move(ids)}};
}

Status Admin::addObject(const json::value& body) {
  JsonReader reader = TRY(JsonReader::of(body, "object"));
  const Named named = TRY(readName(reader));
  NewContent content;
  if (reader.has("size")) {
    content.generated_size = TRY(reader.number("size", 0, 1ULL << 50));
  } else {
    content.text = std::make_shared<const std::string>(TRY(reader.text("text", "")));
  }
  TRY(reader.finish());
  world_.objects.put(named.container, named.name, std::move(content), world_.nowSeconds());
  return {};
}

Status Admin::deleteObject(const json::value& body) {
  JsonReader reader = TRY(JsonReader::of(body, "object"));
  const Named named = TRY(readName(reader));
  TRY(reader.finish());
  if (!world_.objects.erase(named.container, named.name))
    return fail(Code::NotFound, fmt::format("{}/{}: no such object", named.container, named.name));
  return {};
}

Status Admin::changeObject(const json::value& body) {
  JsonReader reader = TRY(JsonReader::of(body, "object"));
  const Named named = TRY(readName(reader));
  std::optional<std::uint64_t> size;
  if (reader.has("size")) size = TRY(reader.number("size", 0, 1ULL << 50));
  TRY(reader.finish());
  if (!world_.objects.change(named.container, named.name, size, world_.nowSeconds()))
    return fail(Code::NotFound, fmt::format("{}/{}: no such object", named.container, named.name));
  return {};
}

Status Admin::addContainer(const json::value& body) {
  JsonReader reader = TRY(JsonReader::of(body, "container"));
  const std::string name = TRY(reader.text("name", ""));
  TRY(reader.finish());
  if (name.empty()) return fail(Code::InvalidArgument, "container: name must be given");
  world_.objects.addContainer(name);
  return {};
}

Status Admin::reset(const json::value& body) {
  bool stats = true, faults = true, settings = true, objects = false;
  if (!body.is_null()) {
    JsonReader reader = TRY(JsonReader::of(body, "reset"));
    stats = TRY(reader.flag("stats", stats));
    faults = TRY(reader.flag("faults", faults));
    settings = TRY(reader.flag("settings", settings));
    objects = TRY(reader.flag("objects", objects));
    TRY(reader.finish());
  }
  if (stats) world_.stats.reset();
  if (faults) world_.faults.clear();
  if (settings) world_.settings = world_.initial_settings;
  if (settings) world_.tokens.reset();
  if (!objects) return {};
  world_.objects.clear();
  return world_.root.empty() ? Status{} : world_.objects.scan(world_.root, world_.decode_names);
}

}  // namespace forebay::fake
