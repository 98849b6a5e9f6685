// An operation that asks many things of a cell at once, each of the owners of its slot: core's OwnerWalk for each, and
// one request for all that go to the same node.
//
// It walks at most kWindow questions at a time and starts the next ones as they end. What to send and what an answer
// means is the derived class's: send() takes questions for a node and later says of each, once, what came of it
// (said()), or that it is over (giveUp()). A question that no owner can be asked is relayed by any other member; one
// that failed in a way that passes is asked anew after a while, until the deadline; the last reason is then the error.
//
// Threading: the loop. Bounded: kWindow walks, and one timer.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "client/direct_cell.h"
#include "core/owner_walk.h"

namespace forebay::client {

class OwnerOperation : public Operation {
 public:
  void newMap() override;

 protected:
  static constexpr std::size_t kWindow = 4'096;

  OwnerOperation(DirectCell& cell, TimePoint deadline, CallId call) : Operation(cell, deadline, call), cell_(cell) {}

  virtual std::size_t questions() const = 0;
  virtual core::Slot slotOf(std::size_t question) const = 0;
  virtual std::uint32_t copiesOf(std::size_t) const { return 1; }  // that the cell keeps of what is asked for
  // Before the first question is asked.
  virtual void starting() {}
  // Asks `node`, and takes those of `waiting` that it asks. It is called again when there are more, and by flush().
  virtual void send(core::NodeId node, std::deque<std::size_t>& waiting) = 0;
  // A question has ended; null: well.
  virtual void ended(std::size_t question, const Error* error) = 0;
  // All have.
  virtual void complete() = 0;

  // How to ask it, while it is being asked.
  const core::AskNode& how(std::size_t question) const { return walks_[question]->ask; }
  // Of a copy, because its owner is busier.
  bool choseCopy(std::size_t question) const { return walks_[question]->walk.choseCopy(); }
  // What came of it. `why`: in words, unless Answered. It may be the operation's end.
  void said(std::size_t question, const core::WalkEvent& event, const Error* why = nullptr);
  void giveUp(std::size_t question, const Error& error);
  // What a whole request's failure means to one of its questions.
  void lost(std::size_t question, const Error& error);
  // Calls send() again, soon: there is room for another request.
  void flush();

  DirectCell& cell_;

 private:
  enum class State : std::uint8_t { Asked, WaitsForMap, Waits, StartsAnew };
  struct Walking {
    core::OwnerWalk walk;
    core::AskNode ask{};
    State state = State::Asked;
    bool relayed = false;
    std::uint32_t relays = 0, tries = 0, answered_failures = 0;
    std::optional<Error> last;  // why it isn't answered yet
  };
  void attempt() override { startMore(); }
  bool idle() const override { return true; }  // aborting it ends what is on its way, too
  void startMore();
  void begin(std::size_t question);
  void follow(std::size_t question, const core::WalkAction& action);
  void ask(std::size_t question, const core::AskNode& ask);
  void wait(std::size_t question, TimePoint until, State state);
  void relay(std::size_t question);
  void relayedSaid(std::size_t question, const core::WalkEvent& event);
  void failedWalk(std::size_t question, Error error, bool answered);
  void end(std::size_t question, const Error* error);
  void wake();
  void arm();

  std::vector<std::shared_ptr<Walking>> walks_;  // by question; null: not begun, or over
  std::size_t next_ = 0, active_ = 0, over_ = 0;
  bool starting_ = false, flush_posted_ = false;
  std::map<core::NodeId, std::deque<std::size_t>> outbox_;
  std::multimap<TimePoint, std::size_t> waits_;
  io::TimerId timer_ = 0;
  TimePoint timer_at_ = kNever;

 protected:
  // Stops waiting and sending; the derived class gives up its requests.
  void forget() override;
};

}  // namespace forebay::client
