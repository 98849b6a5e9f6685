#include "sim/scenario.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>

#include "sim/checkers.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/origin.h"
#include "sim/world.h"

namespace forebay::sim {
namespace {

constexpr Duration kSafety = 30s;  // of faults
constexpr Duration kReadDeadline = 20s;
constexpr Duration kOpenDeadline = 45s;  // two walks of 10 s and what the origin takes
constexpr std::uint64_t kMaxEvents = 3'000'000;
constexpr int kBusyRetries = 50;

// A slot table costs milliseconds, a run little more: tables are made once for all runs.
SharedMap mapOf(std::uint64_t version, std::uint32_t members) {
  static std::map<std::pair<std::uint64_t, std::uint32_t>, SharedMap> made;
  SharedMap& map = made[{version, members}];
  if (map) return map;
  std::vector<core::Member> list;
  for (std::uint32_t i = 0; i < 32; ++i)
    if ((members >> i & 1) != 0)
      list.push_back({.id = i + 1, .name = fmt::format("n{}", i + 1), .address = "sim:1", .domain = {}, .weight = 1});
  map = core::SlotMap::build(version, std::move(list)).value();
  return map;
}

class Cell;

// Reads one range after another through one node; goes to another node when that one dies.
struct Client {
  NodeId node = 0;
  int left = 0;
  std::uint64_t request = 0;
  bool revalidate = false;
};

class Cell {
 public:
  Cell(std::uint64_t seed, const Trouble& trouble)
      : seed_(seed), trouble_(trouble), world_(seed), network_(world_), origin_(world_), checkers_(world_) {}
  Report run();

 private:
  void build();
  void start(NodeId node);
  void makeTrouble();
  void trouble();
  void heal();
  void kill(NodeId node);
  bool drain(TimePoint until);

  void goOn(std::size_t client, Duration within);
  void next(std::size_t client);
  void read(std::size_t client, const SharedPlan& plan, int tries);
  void ended(std::size_t client, bool well, const Error& error);
  NodeId anyNode() {
    auto at = nodes_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(world_.random().below(nodes_.size())));
    return at->first;
  }
  std::uint64_t below(std::uint64_t bound) { return world_.random().below(bound); }

  const std::uint64_t seed_;
  const Trouble trouble_;
  World world_;
  Network network_;
  Origin origin_;
  Checkers checkers_;
  std::vector<SharedMap> maps_;
  std::vector<NodeId> members_;
  core::ServerLimits limits_;
  std::size_t arena_runs_ = 1 << 20;
  std::uint32_t read_copies_ = 1;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::vector<std::string> paths_;
  std::vector<Client> clients_;
  bool healed_ = false;
  std::uint64_t next_request_ = 1, lives_ = 0, reads_ = 0, failed_ = 0;
};

void Cell::build() {
  const auto count = static_cast<std::uint32_t>(3 + below(10));
  const std::uint32_t all = (1U << count) - 1;
  const auto one = static_cast<std::uint32_t>(below(count));
  maps_.push_back(mapOf(1, trouble_.new_map && below(2) == 0 ? all & ~(1U << one) : all));
  if (trouble_.new_map) maps_.push_back(mapOf(2, maps_[0]->members().size() == count ? all & ~(1U << one) : all));
  for (std::uint32_t i = 1; i <= count; ++i) members_.push_back(i);
  limits_.max_fallback_fills = 1 + below(4);
  if (below(2) == 0) limits_.spread.hot_fulls = 1;  // in cells of a dozen nodes little gets hot by itself
  read_copies_ = static_cast<std::uint32_t>(1 + below(3));
  if (trouble_.few_fetches) limits_.fill = {.max_fetches = 2 + below(4), .max_waiters = 4 + below(8)};
  if (trouble_.small_arenas) arena_runs_ = 48 + below(64);
  for (std::uint64_t i = 0; i < 2 + below(6); ++i) {
    const auto chunk_bits = static_cast<std::uint32_t>(20 + below(3));
    paths_.push_back(fmt::format("dir/object {}", i));
    origin_.create(paths_.back(), 1 + below(std::uint64_t{4} << chunk_bits), chunk_bits);
  }
  for (NodeId node : members_) start(node);
  clients_.resize(3 + below(12));
  for (Client& client : clients_) client = {.node = anyNode(), .left = static_cast<int>(5 + below(15))};
}

void Cell::start(NodeId node) {
  NodeSetup setup{.id = node, .map = maps_[below(maps_.size())], .every_map = maps_, .limits = limits_};
  setup.arena_runs = arena_runs_;
  setup.read_copies = read_copies_;
  setup.seed = world_.random().next();
  if (!healed_ && maps_.size() > 1) setup.map = maps_[0];
  nodes_[node] = std::make_unique<Node>(world_, network_, origin_, checkers_, std::move(setup));
  ++lives_;
}

// Clients.

void Cell::goOn(std::size_t index, Duration within) {
  world_.after(world_.between(1ms, within), [this, index, request = clients_[index].request] {
    if (clients_[index].request == request) next(index);  // otherwise its node died, and it goes on at another
  });
}

void Cell::next(std::size_t index) {
  Client& client = clients_[index];
  if (client.left == 0) return;
  --client.left;
  const std::uint64_t request = next_request_++;
  client.request = request;
  const std::string& path = paths_[below(1 + below(paths_.size()))];  // the first ones are the hot ones
  checkers_.begun(request, client.node, world_.now() + kOpenDeadline);
  nodes_.at(client.node)->open(path, client.revalidate || healed_, [this, index, request](Result<SharedPlan> plan) {
    if (clients_[index].request != request) return;  // its node died meanwhile
    checkers_.ended(request);
    if (!plan.has_value()) return ended(index, false, plan.error());
    return read(index, *plan, 0);
  });
}

void Cell::read(std::size_t index, const SharedPlan& plan, int tries) {
  Client& client = clients_[index];
  const std::uint64_t request = next_request_++;
  client.request = request;
  Piece piece{.plan = plan, .index = static_cast<std::uint32_t>(below(plan->chunks()))};
  const auto first = static_cast<std::uint32_t>(below(piece.runs()));
  const core::RunRange runs{first, first + 1 + static_cast<std::uint32_t>(below(piece.runs() - first))};
  checkers_.begun(request, client.node, world_.now() + kReadDeadline);
  nodes_.at(client.node)
      ->read(piece, runs, world_.now() + kReadDeadline,
             [this, index, request, piece, runs, plan, tries](Result<std::vector<Token>> bytes) {
               if (clients_[index].request != request) return;
               checkers_.ended(request);
               if (!bytes.has_value() && bytes.error().code == Code::Busy && tries < kBusyRetries) {
                 world_.after(world_.between(10ms, 100ms), [this, index, request, plan, tries] {
                   if (clients_[index].request == request) read(index, plan, tries + 1);
                 });
                 return;
               }
               if (bytes.has_value()) checkers_.gotBytes(piece, runs, *bytes);
               ended(index, bytes.has_value(), bytes.has_value() ? Error{} : bytes.error());
             });
}

void Cell::ended(std::size_t index, bool well, const Error& error) {
  ++reads_;
  failed_ += well ? 0 : 1;
  world_.note(300, index, static_cast<std::uint64_t>(error.code));
  if (!well && (healed_ || !trouble_.mayFail()))
    checkers_.found("a read through node {} failed {}: {}", clients_[index].node,
                    healed_ ? "although all was healed" : "although nothing went wrong", error.text());
  clients_[index].revalidate = !well && error.code == Code::Gone;
  goOn(index, trouble_.mayFail() ? 2s : 100ms);
}

// Trouble.

void Cell::makeTrouble() {
  Network::Faults network;
  if (trouble_.slow_network) network.most_delay = 20ms;
  if (trouble_.loss) network.loss_per_million = 10'000;
  if (trouble_.spoiled_bytes) network.spoil_per_million = 20'000;
  network_.set(network);
  Origin::Faults origin;
  if (trouble_.slow_origin) origin.most_delay = 6s;
  if (trouble_.failing_origin) origin.fail_per_million = 200'000;
  if (trouble_.broken_ranges) origin.cut_per_million = origin.short_per_million = 100'000;
  origin_.set(origin);
  for (const SharedMap& map : maps_)
    for (NodeId node : members_)
      if (below(4) != 0)  // some hear of a new map from their peers only
        world_.after(world_.between(0s, 20s), [this, map, node] {
          if (auto known = nodes_.find(node); known != nodes_.end()) known->second->learn(map);
        });
  for (TimePoint when = world_.now(); when < world_.now() + kSafety; when += world_.between(50ms, 3s))
    world_.at(when, [this] { trouble(); });
}

void Cell::trouble() {
  const NodeId a = members_[below(members_.size())], b = members_[below(members_.size())];
  const Duration length = world_.between(10ms, 5s);
  const TimePoint until = world_.now() + length;
  switch (below(6)) {
    case 0:
      if (trouble_.clogs) network_.clog(a, b, until);
      break;
    case 1:
      if (trouble_.cuts) network_.cut(a, b);
      break;
    case 2:
      if (!trouble_.pauses || !nodes_.contains(a)) break;
      network_.pause(a, until);
      checkers_.pausedUntil(a, until, length);
      break;
    case 3:
      if (trouble_.deaths && nodes_.size() > 1 && nodes_.contains(a)) kill(a);
      break;
    case 4:
      if (trouble_.deaths && !nodes_.contains(a)) start(a);
      break;
    default:
      if (trouble_.changing_objects) origin_.change(paths_[below(paths_.size())]);
  }
}

void Cell::kill(NodeId node) {
  world_.note(400, node);
  network_.kill(node, trouble_.silent_deaths && below(2) == 0);
  nodes_.erase(node);
  checkers_.died(node);
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i].node != node) continue;
    clients_[i].node = anyNode();
    clients_[i].request = next_request_++;
    goOn(i, 100ms);
  }
}

void Cell::heal() {
  healed_ = true;
  network_.heal();
  origin_.set({});
  for (NodeId node : members_)
    if (!nodes_.contains(node)) start(node);
}

bool Cell::drain(TimePoint until) {
  if (world_.runUntil(until, kMaxEvents)) return true;
  checkers_.found("{} events, and no end: something goes round in circles", world_.events());
  return false;
}

Report Cell::run() {
  build();
  makeTrouble();
  for (std::size_t i = 0; i < clients_.size(); ++i) goOn(i, 50ms);
  const TimePoint end = world_.now() + kSafety;
  bool whole = drain(end);
  for (Client& client : clients_) client.left = 0;
  whole = whole && drain(end + 2 * kOpenDeadline);
  checkers_.expectAllEnded();
  heal();
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    clients_[i].left = 3;
    goOn(i, 50ms);
  }
  whole = whole && drain(world_.now() + 600s);
  checkers_.expectAllEnded();
  if (whole && !world_.empty()) checkers_.found("ten minutes later events still wait");
  for (const auto& [id, node] : nodes_) node->expectIdle();
  // Where nothing parted a reader from the owner, each run is sent once; a new map may make each of two primaries fetch
  // it; otherwise each life of a node may, once, unless its arena is too small to keep it.
  Trouble only_map = trouble_;
  only_map.new_map = false;
  auto most = static_cast<std::uint32_t>(trouble_.breaksSingleFlight() ? lives_ : 1);
  if (trouble_.new_map && !only_map.breaksSingleFlight()) most = 2;
  if (trouble_.small_arenas) most = ~std::uint32_t{0};
  const auto sent = checkers_.checkSent(origin_, most);
  return {.seed = seed_,
          .hash = world_.hash(),
          .events = world_.events(),
          .reads = reads_,
          .failed_reads = failed_,
          .runs_sent = sent.runs,
          .sent_again = sent.again,
          .findings = checkers_.findings()};
}

}  // namespace

Report run(std::uint64_t seed, const Trouble& trouble) {
  return Cell(seed, trouble).run();
}

Trouble Trouble::of(std::uint64_t seed) {
  Random random(mix64(seed ^ 0x7472'6f75'626c'65));
  Trouble trouble;
  if (random.below(8) == 0) return trouble;
  const std::uint64_t one_in = 2 + random.below(6);  // from much trouble at once to one kind of it
  for (bool* kind :
       {&trouble.slow_network, &trouble.loss, &trouble.spoiled_bytes, &trouble.clogs, &trouble.cuts, &trouble.pauses,
        &trouble.deaths, &trouble.silent_deaths, &trouble.new_map, &trouble.slow_origin, &trouble.failing_origin,
        &trouble.broken_ranges, &trouble.changing_objects, &trouble.small_arenas, &trouble.few_fetches})
    *kind = random.below(one_in) == 0;
  return trouble;
}

bool Trouble::breaksSingleFlight() const {
  return loss || spoiled_bytes || clogs || cuts || pauses || deaths || new_map || small_arenas;
}

bool Trouble::mayFail() const {
  return breaksSingleFlight() || spoiled_bytes || slow_origin || failing_origin || broken_ranges || changing_objects ||
         few_fetches;
}

std::string Trouble::text() const {
  std::string words;
  const auto add = [&](bool on, std::string_view word) {
    if (on) words.append(words.empty() ? "" : ", ").append(word);
  };
  add(slow_network, "slow network");
  add(loss, "loss");
  add(spoiled_bytes, "spoiled bytes");
  add(clogs, "clogs");
  add(cuts, "one-way cuts");
  add(pauses, "pauses");
  add(deaths, "deaths");
  add(silent_deaths, "silent deaths");
  add(new_map, "a new map");
  add(slow_origin, "slow origin");
  add(failing_origin, "failing origin");
  add(broken_ranges, "broken ranges");
  add(changing_objects, "changing objects");
  add(small_arenas, "small arenas");
  add(few_fetches, "few fetches");
  return words.empty() ? "no trouble" : words;
}

std::string Report::text() const {
  std::string lines =
      fmt::format("seed {}: {} events, {} reads, {} failed, {} runs from the origin and {} again, hash {:016x}", seed,
                  events, reads, failed_reads, runs_sent, sent_again, hash);
  for (const std::string& finding : findings) lines += "\n  " + finding;
  if (!findings.empty()) lines += fmt::format("\n  replay: FOREBAY_SIM_SEED={} FOREBAY_SIM_RUNS=1 sim_test", seed);
  return lines;
}

}  // namespace forebay::sim
