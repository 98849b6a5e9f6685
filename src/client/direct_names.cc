#include "client/direct_names.h"

#include <algorithm>

#include "client/answers.h"
#include "client/parts.h"
#include "reader/owner_calls.h"
#include "reader/plan_bytes.h"
#include "wire/many_parts.h"

namespace forebay::client {
namespace {

constexpr Duration kTryTimeout = 5s;    // of one node; then another is asked (as nodes do: reader/owner_calls.h)
constexpr Duration kNamedTimeout = 2s;  // of one that was named in an owner's stead
// An answer holds for each name its plan or an error's text of up to 1 KiB: together within a frame's body.
constexpr std::size_t kNames = 512, kNameBytes = 256 * kKiB;

}  // namespace

template <class Message>
void DirectNames::call(core::NodeId node, wire::MessageType type, const Message& message,
                       std::vector<std::size_t> asked,
                       std::move_only_function<void(std::span<const std::size_t>, Bytes)> answered,
                       std::shared_ptr<reader::BulkReceiver> bulk) {
  reader::Channel* const channel = cell_.to(node);
  if (channel == nullptr) {
    const Error unknown{Code::Unavailable, "the cell's map doesn't know the node that was named", 0};
    for (const std::size_t question : asked) said(question, core::Lost{}, &unknown);
    return;
  }
  const bool named = how(asked.front()).no_fill;
  auto request = std::make_shared<Asked>(Asked{channel, 0});
  requests_.push_back(request);
  const auto self = std::static_pointer_cast<DirectNames>(shared_from_this());
  request->id = channel->call(
      type, message, std::min(deadline_, io::Reactor::now() + (named ? kNamedTimeout : kTryTimeout)),
      [self, request, asked = std::move(asked), answered = std::move(answered)](Result<reader::Answer> answer) mutable {
        std::erase(self->requests_, request);
        if (answer) return answered(asked, answer->body);
        for (const std::size_t question : asked) self->lost(question, answer.error());
      },
      cell_.map()->version(), std::move(bulk));
}

void DirectNames::saidOf(std::size_t question, const wire::pb::Failure* failure) {
  if (failure == nullptr) return said(question, core::Answered{});
  const Error error = wire::fromMessage(*failure);
  // It lives, and doesn't know yet: its origin is slow.
  if (error.code == Code::DeadlineExceeded) return said(question, core::TooSlow{}, &error);
  if (error.code == Code::Busy)
    return said(question, core::BusyThere{std::chrono::milliseconds(error.retry_after_ms)}, &error);
  giveUp(question, error);  // the owner's word about that name
}

void DirectNames::forget() {
  OwnerOperation::forget();
  const auto requests = std::exchange(requests_, {});
  for (const auto& request : requests) request->channel->cancel(request->id);
}

// ---- plans ----

// The bytes that come with one request's plans, into the caller's memory.
class DirectResolve::Room : public reader::PlanBytes {
 public:
  Room(const Question& question, std::vector<std::size_t> names) : question_(question), names_(std::move(names)) {}

 private:
  bool place(std::size_t item, const wire::pb::Resolved& said, io::BulkTarget& target) override {
    if (item >= names_.size()) return false;
    const auto& into = question_.options.into[names_[item]];
    std::uint64_t room = 0;
    for (const MutableBytes piece : into) room += piece.size();
    if (room < said.bytes()) return false;
    addRoom(into, 0, said.bytes(), target);
    return true;
  }

  const Question& question_;
  const std::vector<std::size_t> names_;  // by item
};

DirectResolve::DirectResolve(DirectCell& cell, Question question, TimePoint deadline, CallId call,
                             Callback<CellReader::Answers> done)
    : DirectNames(cell, deadline, call), question_(std::move(question)), done_(std::move(done)) {
  answers_.assign(question_.paths.size(), fail(notAnswered()));
}

core::Slot DirectResolve::slotOf(std::size_t name) const {
  return core::slotOfPath(question_.mount, question_.paths[name]);
}

void DirectResolve::send(core::NodeId node, std::deque<std::size_t>& waiting) {
  while (!waiting.empty()) {
    const core::AskNode meant = how(waiting.front());
    const auto alike = [&](std::size_t name) {
      const core::AskNode& ask = how(name);
      return ask.relay == meant.relay && ask.no_fill == meant.no_fill && ask.insist == meant.insist;
    };
    wire::pb::ResolveRequest request;
    request.set_mount(question_.mount);
    request.set_object_only(question_.options.object_only);
    request.set_revalidate(question_.options.revalidate);
    request.set_fill_up_to(question_.options.fill_up_to);
    request.set_relay(meant.relay);
    reader::sayHow(request, meant);
    if (question_.options.revalidate) request.set_may_ask(false);
    std::vector<std::size_t> asked;
    for (std::size_t bytes = 0;
         !waiting.empty() && alike(waiting.front()) && asked.size() < kNames && bytes < kNameBytes;) {
      asked.push_back(waiting.front());
      waiting.pop_front();
      request.add_paths(question_.paths[asked.back()]);
      bytes += question_.paths[asked.back()].size();
    }
    std::shared_ptr<Room> room;
    if (!question_.options.into.empty()) {
      request.set_bytes_up_to(question_.options.fill_up_to);
      room = std::make_shared<Room>(question_, asked);
    }
    call(
        node, wire::MessageType::ResolveRequest, request, std::move(asked),
        [this, room](std::span<const std::size_t> names, Bytes body) {
          const auto reply = wire::parse<wire::pb::ResolveReply>(body);
          const bool fits = reply && static_cast<std::size_t>(reply->items_size()) == names.size();
          for (std::size_t i = 0; i < names.size(); ++i) {
            if (!fits) {
              const Error odd = notAnswered();
              said(names[i], core::BadBytes{}, &odd);
              continue;
            }
            const auto& item = reply->items(static_cast<int>(i));
            if (const auto event = reader::elsewhere(item)) {
              said(names[i], *event);
              continue;
            }
            if (!item.has_failure()) answers_[names[i]] = attributesOf(item);
            if (room && room->came(i)) answers_[names[i]]->read = true;
            saidOf(names[i], item.has_failure() ? &item.failure() : nullptr);
          }
        },
        room);
  }
}

void DirectResolve::ended(std::size_t name, const Error* error) {
  if (error != nullptr) answers_[name] = fail(*error);
}

// ---- listings ----

DirectList::DirectList(DirectCell& cell, Question question, TimePoint deadline, CallId call,
                       Callback<DirectoryPage> done)
    : DirectNames(cell, deadline, call),
      question_(std::move(question)),
      page_(fail(notAnswered())),
      done_(std::move(done)) {}

void DirectList::send(core::NodeId node, std::deque<std::size_t>& waiting) {
  waiting.clear();
  wire::pb::ListRequest request;
  request.set_mount(question_.mount);
  request.set_path(question_.path);
  request.set_cursor(question_.cursor);
  request.set_max_entries(question_.options.max);
  request.set_raw(question_.options.raw);
  request.set_from_origin(question_.options.from_origin);
  request.set_relay(how(0).relay);
  reader::sayHow(request, how(0));
  if (question_.options.from_origin) request.set_may_ask(false);
  call(node, wire::MessageType::ListRequest, request, {0}, [this](std::span<const std::size_t>, Bytes body) {
    const auto answer = wire::parseMany<wire::pb::ListReply>(body);
    if (!answer) return said(0, core::BadBytes{}, &answer.error());
    wire::pb::ListReply& reply = **answer;
    if (const auto event = reader::elsewhere(reply)) return said(0, *event);
    if (!reply.has_failure()) page_ = pageOf(reply);
    saidOf(0, reply.has_failure() ? &reply.failure() : nullptr);
  });
}

}  // namespace forebay::client
