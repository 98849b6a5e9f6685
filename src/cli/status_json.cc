#include "cli/status_json.h"

#include "base/json_writer.h"

namespace forebay::cli {
namespace {

void hitRatio(JsonWriter& json, std::uint64_t hits, std::uint64_t misses) {
  json.key("hit_ratio");
  if (hits + misses == 0) {
    json.null();
  } else {
    json.value(static_cast<double>(hits) / static_cast<double>(hits + misses));
  }
}

void mountJson(JsonWriter& json, const wire::pb::MountStatus& mount) {
  json.beginObject().field("name", mount.name()).field("url", mount.url()).field("class", mount.class_name());
  json.field("consistency", mount.consistency()).field("bytes_served", mount.bytes_served());
  json.field("requests_served", mount.requests_served()).field("hits", mount.hits()).field("misses", mount.misses());
  hitRatio(json, mount.hits(), mount.misses());
  json.field("origin_bytes", mount.origin_bytes()).field("origin_gets", mount.origin_gets());
  json.field("origin_heads", mount.origin_heads()).field("origin_lists", mount.origin_lists());
  json.field("origin_retries", mount.origin_retries()).field("origin_errors", mount.origin_errors());
  if (!mount.whole_objects().empty())
    json.field("whole_objects", mount.whole_objects()).field("whole_objects_why", mount.whole_objects_why());
  if (!mount.transport().empty())
    json.field("transport", mount.transport()).field("transport_why", mount.transport_why());
  json.field("hidden_names", mount.hidden_names()).field("peer_bytes", mount.peer_bytes());
  json.field("direct_bytes", mount.direct_bytes());
  if (!mount.manifest_digest().empty())
    json.field("manifest_digest", mount.manifest_digest())
        .field("manifest_objects", mount.manifest_objects())
        .field("manifest_made", mount.manifest_made());
  if (!mount.refusal().empty()) json.field("refusal", mount.refusal());
  json.endObject();
}

void nodeJson(JsonWriter& json, const wire::pb::NodeStatus& node) {
  json.beginObject().field("name", node.name()).field("address", node.address()).field("reachable", node.reachable());
  json.field("version", node.version()).field("pid", node.pid()).field("uptime_s", node.uptime_s());
  json.field("map_version", node.map_version()).field("slots", node.slots());
  json.field("memory_cap", node.memory_cap()).field("arena_cap", node.arena_cap());
  json.field("arena_used", node.arena_used()).field("evicted_bytes", node.evicted_bytes());
  json.field("connections", node.connections()).field("bad_frames", node.bad_frames()).key("notes").beginArray();
  for (const std::string& note : node.notes()) json.value(note);
  json.endArray().field("pinned_bytes", node.pinned_bytes()).field("pinned_cap", node.pinned_cap());
  json.key("pinning").beginArray();
  for (const auto& client : node.pinning())
    json.beginObject()
        .field("pid", client.pid())
        .field("name", client.name())
        .field("bytes", client.bytes())
        .field("views", client.pins())
        .field("oldest_ms", client.oldest_ms())
        .field("connected", client.connected())
        .endObject();
  json.endArray().key("mounts").beginArray();
  for (const wire::pb::MountStatus& mount : node.mounts()) mountJson(json, mount);
  json.endArray().endObject();
}

}  // namespace

std::string statusJson(const wire::pb::StatusReply& reply) {
  JsonWriter json;
  json.beginObject().key("nodes").beginArray();
  for (const wire::pb::NodeStatus& node : reply.nodes()) nodeJson(json, node);
  json.endArray().endObject();
  return std::move(json).take();
}

}  // namespace forebay::cli
