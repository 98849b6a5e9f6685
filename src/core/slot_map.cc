#include "core/slot_map.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <string_view>

#include "base/hash.h"

namespace forebay::core {
namespace {

Status check(const std::vector<Member>& members) {
  if (members.empty()) return fail(Code::InvalidArgument, "a cell needs at least one member");
  if (members.size() > kMaxMembers)
    return fail(Code::InvalidArgument,
                fmt::format("a cell has at most {} members, not {}", kMaxMembers, members.size()));
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Member& m = members[i];
    if (m.id == kNoNode) return fail(Code::InvalidArgument, fmt::format("member {} has no id", m.name));
    if (m.weight < 1 || m.weight > 1000)
      return fail(Code::InvalidArgument, fmt::format("member {}: weight {} is not from 1 to 1000", m.name, m.weight));
    if (i > 0 && members[i - 1].id == m.id)
      return fail(Code::InvalidArgument, fmt::format("members {} and {} have the same id: give one another name",
                                                     members[i - 1].name, m.name));
  }
  std::set<std::string_view> names;
  for (const Member& m : members)
    if (!names.insert(m.name).second)
      return fail(Code::InvalidArgument, fmt::format("two members have the name {}", m.name));
  return {};
}

// Slots per member in proportion to weight, adding up exactly: what integer division leaves over goes to the largest
// remainders, the lower id first.
std::vector<std::uint32_t> quotas(const std::vector<Member>& members) {
  std::uint64_t total = 0;
  for (const Member& m : members) total += m.weight;
  std::vector<std::uint32_t> quota(members.size());
  std::vector<std::pair<std::uint64_t, std::size_t>> remainders;
  std::uint32_t given = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::uint64_t share = std::uint64_t{kSlots} * members[i].weight;
    quota[i] = static_cast<std::uint32_t>(share / total);
    given += quota[i];
    remainders.emplace_back(share % total, i);
  }
  std::ranges::sort(remainders, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (std::size_t i = 0; given < kSlots; ++i, ++given) ++quota[remainders[i].second];
  return quota;
}

std::vector<std::uint32_t> domainIndices(const std::vector<Member>& members) {
  std::map<std::string, std::uint32_t> known;
  std::vector<std::uint32_t> indices;
  for (const Member& m : members) {
    const std::string& domain = m.domain.empty() ? m.name : m.domain;
    indices.push_back(known.emplace(domain, static_cast<std::uint32_t>(known.size())).first->second);
  }
  return indices;
}

}  // namespace

Result<std::shared_ptr<const SlotMap>> SlotMap::build(std::uint64_t version, std::vector<Member> members) {
  std::ranges::sort(members, {}, &Member::id);
  TRY(check(members));
  auto map = std::make_shared<SlotMap>();
  map->version_ = version;
  map->members_ = std::move(members);
  const auto& all = map->members_;
  const auto n = all.size();
  auto left = quotas(all);
  const auto domains = domainIndices(all);
  const std::size_t owners = std::min(kOwners, n);
  std::vector<std::uint64_t> seeds(n);
  for (std::size_t i = 0; i < n; ++i) seeds[i] = mix64(all[i].id);

  map->table_.resize(kSlots);
  std::vector<std::uint64_t> rank(n);
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    for (std::size_t i = 0; i < n; ++i) rank[i] = mix64(seeds[i] ^ slot);
    Row row;
    row.fill(kNobody);
    // The best-ranked member for which `fits` holds and which isn't in the row yet.
    const auto best = [&](auto fits) {
      std::size_t winner = n;
      for (std::size_t i = 0; i < n; ++i) {
        if (std::ranges::find(row, static_cast<std::uint16_t>(i)) != row.end() || !fits(i)) continue;
        if (winner == n || rank[i] > rank[winner]) winner = i;
      }
      return winner;
    };
    const std::size_t primary = best([&](std::size_t i) { return left[i] > 0; });
    --left[primary];
    row[0] = static_cast<std::uint16_t>(primary);
    for (std::size_t place = 1; place < owners; ++place) {
      std::size_t next = best([&](std::size_t i) {
        for (std::size_t p = 0; p < place; ++p)
          if (domains[row[p]] == domains[i]) return false;
        return true;
      });
      if (next == n) {  // fewer domains than owners: distinct nodes must do
        map->domains_suffice_ = false;
        next = best([](std::size_t) { return true; });
      }
      row[place] = static_cast<std::uint16_t>(next);
    }
    map->table_[slot] = row;
  }
  return map;
}

const Member* SlotMap::find(NodeId id) const {
  auto at = std::ranges::lower_bound(members_, id, {}, &Member::id);
  return at != members_.end() && at->id == id ? &*at : nullptr;
}

Owners SlotMap::owners(Slot slot) const {
  Owners owners;
  for (std::uint16_t index : table_[slot])
    if (index != kNobody) owners.add(members_[index].id);
  return owners;
}

std::uint32_t SlotMap::primarySlots(NodeId id) const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(table_, [&](const Row& row) { return members_[row[0]].id == id; }));
}

}  // namespace forebay::core
