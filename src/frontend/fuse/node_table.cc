#include "frontend/fuse/node_table.h"

#include <algorithm>
#include <linux/fuse.h>
#include <utility>

#include "base/hash.h"

namespace forebay::fuse {

std::uint64_t inodeNumber(std::string_view path, bool directory, std::string_view version) {
  if (directory && path.empty()) return FUSE_ROOT_ID;
  // Hashes of the two words, mixed: no string is made, and ("ab", "c") differs from ("a", "bc").
  const std::uint64_t of_version = directory ? 0xd1 : mix64(hash64(version));
  const std::uint64_t number = mix64(hash64(path) ^ of_version);
  return number > FUSE_ROOT_ID ? number : number + 2;
}

std::string_view parentOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

std::string_view baseName(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string childPath(std::string_view directory, std::string_view name) {
  std::string path;
  path.reserve(directory.size() + 1 + name.size());
  path.append(directory);
  if (!path.empty()) path.push_back('/');
  path.append(name);
  return path;
}

NodeTable::NodeTable() : next_(FUSE_ROOT_ID) {
  look(Inode{.path = "", .directory = true, .version = {}, .plan = nullptr});  // the kernel never forgets the root
}

NodeNumber NodeTable::look(Inode inode) {
  if (const auto known = by_key_.find(keyOf(inode)); known != by_key_.end()) {
    const NodeNumber number = known->second;  // setPlan makes the entry anew
    Node& node = nodes_.at(number);
    ++node.lookups;
    if (node.inode->plan == nullptr && inode.plan != nullptr) setPlan(number, std::move(inode.plan));
    return number;
  }
  const NodeNumber number = next_++;
  Node node{.inode = std::make_shared<const Inode>(std::move(inode)), .lookups = 1};
  by_key_.emplace(keyOf(*node.inode), number);
  nodes_.emplace_hint(nodes_.end(), number, std::move(node));
  return number;
}

std::shared_ptr<const Inode> NodeTable::find(NodeNumber node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : found->second.inode;
}

std::optional<NodeNumber> NodeTable::findDirectory(std::string_view path) const {
  const auto found = by_key_.find(Key{.path = path, .directory = true});
  if (found == by_key_.end()) return std::nullopt;
  return found->second;
}

void NodeTable::forget(NodeNumber node, std::uint64_t lookups) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || node == FUSE_ROOT_ID) return;
  found->second.lookups -= std::min(found->second.lookups, lookups);
  dropIfUnused(found);
}

void NodeTable::open(NodeNumber node) {
  const auto found = nodes_.find(node);
  if (found != nodes_.end()) ++found->second.handles;
}

void NodeTable::close(NodeNumber node) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || found->second.handles == 0) return;
  --found->second.handles;
  dropIfUnused(found);
}

void NodeTable::dropIfUnused(Nodes::iterator node) {
  if (node->second.lookups > 0 || node->second.handles > 0) return;
  if (isLatest(node->first, node->second)) by_key_.erase(keyOf(*node->second.inode));
  nodes_.erase(node);
}

bool NodeTable::isLatest(NodeNumber number, const Node& node) const {
  const auto known = by_key_.find(keyOf(*node.inode));
  return known != by_key_.end() && known->second == number;
}

bool NodeTable::renew(NodeNumber node) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || node == FUSE_ROOT_ID || !isLatest(node, found->second)) return false;
  by_key_.erase(keyOf(*found->second.inode));
  return true;
}

void NodeTable::setPlan(NodeNumber number, std::shared_ptr<const core::Plan> plan) {
  const auto found = nodes_.find(number);
  if (found == nodes_.end()) return;
  Inode with_plan = *found->second.inode;
  with_plan.plan = std::move(plan);
  replaceInode(found->second, std::move(with_plan), number);
}

void NodeTable::replaceInode(Node& node, Inode inode, NodeNumber number) {
  const bool latest = isLatest(number, node);
  if (latest) by_key_.erase(keyOf(*node.inode));
  node.inode = std::make_shared<const Inode>(std::move(inode));
  if (latest) by_key_.emplace(keyOf(*node.inode), number);
}

void NodeTable::supersede(NodeNumber node) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return;
  found->second.superseded = true;
  // The next answer is looked at by name: a later incarnation is the one that it is taken for.
  if (const auto latest = by_key_.find(keyOf(*found->second.inode)); latest != by_key_.end())
    nodes_.at(latest->second).superseded = true;
}

bool NodeTable::takeSuperseded(const Inode& inode) {
  const auto found = by_key_.find(keyOf(inode));
  if (found == by_key_.end()) return false;
  return std::exchange(nodes_.at(found->second).superseded, false);
}

std::vector<std::shared_ptr<const Inode>> NodeTable::objectsBelow(std::string_view path) const {
  std::vector<std::shared_ptr<const Inode>> below;
  for (const auto& [number, node] : nodes_) {
    const std::string_view at = node.inode->path;
    const bool inside = path.empty() || at == path || (at.starts_with(path) && at[path.size()] == '/');
    if (inside && !node.inode->directory) below.push_back(node.inode);
  }
  return below;
}

std::vector<std::shared_ptr<const Inode>> NodeTable::pastLimit(std::size_t limit, std::size_t most) {
  std::vector<std::shared_ptr<const Inode>> past;
  if (nodes_.size() <= limit) return past;
  const std::size_t wanted = std::min(most, nodes_.size() - limit);
  auto node = nodes_.upper_bound(pruned_to_);
  if (node == nodes_.end()) node = nodes_.begin();
  for (; node != nodes_.end() && past.size() < wanted; ++node) {
    pruned_to_ = node->first;
    // Directories stay: one may be somebody's working directory, which would seem deleted to them.
    if (node->second.handles == 0 && !node->second.inode->directory) past.push_back(node->second.inode);
  }
  return past;
}

}  // namespace forebay::fuse
