// One run of a simulated cell: nodes, an origin, clients that read, and what goes wrong while they do.
//
// First the safety phase: for half a minute of virtual time faults come and go, as the seed has it; requests may fail,
// but each ends, and no byte is wrong. Then the liveness phase: everything is healed, and every read must succeed. Then
// nobody asks any more, and nothing may be left waiting.
//
// A seed switches each kind of trouble on or off (Trouble::of), because faults that are always on hide each other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace forebay::sim {

struct Trouble {
  bool slow_network = false, loss = false, spoiled_bytes = false, clogs = false, cuts = false, pauses = false;
  bool deaths = false, silent_deaths = false, new_map = false;
  bool slow_origin = false, failing_origin = false, broken_ranges = false, changing_objects = false;
  bool small_arenas = false, few_fetches = false;

  static Trouble of(std::uint64_t seed);
  static Trouble none() { return {}; }
  std::string text() const;
  // Whether a request may fail; how often the origin may send a run (0: any number of times).
  bool mayFail() const;
  bool breaksSingleFlight() const;
};

struct Report {
  std::uint64_t seed = 0, hash = 0, events = 0;
  std::uint64_t reads = 0, failed_reads = 0;
  std::uint64_t runs_sent = 0, sent_again = 0;  // by the origin
  std::vector<std::string> findings;            // empty: all is well
  std::string text() const;                     // with how to replay it
};

Report run(std::uint64_t seed, const Trouble& trouble);

}  // namespace forebay::sim
