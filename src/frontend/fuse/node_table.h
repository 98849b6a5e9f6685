// What the kernel knows by number: one node per version of an object, and per directory.
//
// An object's node is (path, version) (and size: should a listing and a lookup disagree, the open finds out). A new
// version is another node with another inode number, so a handle or mapping of the old one keeps its bytes, and the
// kernel's pages of a node are right for as long as it keeps them. Ids are never given twice in the life of a mount:
// one that is looked up again after it was forgotten is a new incarnation. So is one that is looked up after renew():
// the old node stays what it is for those who have it open. All incarnations of a version have one st_ino.
//
// The kernel counts its references: each entry that an answer carries adds a lookup, FORGET takes some back. A node
// leaves the table when neither lookups nor open handles hold it, exactly then. `pastLimit` names those that the kernel
// could be asked to drop when the table has grown beyond its bound.
//
// Threading: none; the session locks. Inodes are immutable and may be used outside the lock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"

namespace forebay::fuse {

using NodeNumber = std::uint64_t;

struct Inode {
  std::string path;  // "" is the root
  bool directory = false;
  std::string version;  // of an object
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  // Known after a lookup; a listing's entry lacks it until it is opened.
  std::shared_ptr<const core::Plan> plan;
};

// st_ino: of (path, version), so that all incarnations of a version are one file to cp and tar. Never 0 or 1 (the
// root) but for the root.
std::uint64_t inodeNumber(std::string_view path, bool directory, std::string_view version);
inline std::uint64_t inodeNumber(const Inode& inode) {
  return inodeNumber(inode.path, inode.directory, inode.version);
}

std::string_view parentOf(std::string_view path);  // of "a/b": "a"; of "a" and "": ""
std::string_view baseName(std::string_view path);  // of "a/b": "b"
std::string childPath(std::string_view directory, std::string_view name);

class NodeTable {
 public:
  NodeTable();

  // The node of this version, made if need be, with one lookup more. A plan that it lacked is added.
  NodeNumber look(Inode inode);
  // Null: not a node (any more).
  std::shared_ptr<const Inode> find(NodeNumber node) const;
  std::optional<NodeNumber> findDirectory(std::string_view path) const;

  void forget(NodeNumber node, std::uint64_t lookups);
  void open(NodeNumber node);
  void close(NodeNumber node);

  void setPlan(NodeNumber node, std::shared_ptr<const core::Plan> plan);

  // The next look at this version makes another node of it. False: that was said of this node already.
  bool renew(NodeNumber node);

  // An open found that the origin has another version. The next answer that still names this one isn't to be believed.
  void supersede(NodeNumber node);
  // Whether that has happened to this version; it is forgotten by asking.
  bool takeSuperseded(const Inode& inode);

  // The objects at and below a path ("" is the root).
  std::vector<std::shared_ptr<const Inode>> objectsBelow(std::string_view path) const;

  std::size_t size() const { return nodes_.size(); }
  // Up to `most` unopened objects beyond `limit`, those made longest ago first; asking again goes on where it ended.
  std::vector<std::shared_ptr<const Inode>> pastLimit(std::size_t limit, std::size_t most);

 private:
  struct Node {
    std::shared_ptr<const Inode> inode;
    std::uint64_t lookups = 0;
    std::uint64_t handles = 0;
    bool superseded = false;
  };
  // Points into the node's inode, which holds these strings for as long as the node is here.
  struct Key {
    std::string_view path;
    std::string_view version;
    std::uint64_t size = 0;
    bool directory = false;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return inodeNumber(key.path, key.directory, key.version); }
  };
  static Key keyOf(const Inode& inode) { return {inode.path, inode.version, inode.size, inode.directory}; }
  using Nodes = std::map<NodeNumber, Node>;  // by age, for pastLimit

  // Whether the next look at its version finds this node: no later incarnation has been asked for.
  bool isLatest(NodeNumber number, const Node& node) const;

  void dropIfUnused(Nodes::iterator node);
  void replaceInode(Node& node, Inode inode, NodeNumber number);

  Nodes nodes_;
  std::unordered_map<Key, NodeNumber, KeyHash> by_key_;
  NodeNumber next_;
  NodeNumber pruned_to_ = 0;
};

}  // namespace forebay::fuse
