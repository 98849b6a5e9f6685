// Names, asked of their owners: one request for all of a batch's names that have the same owner.
#pragma once

#include <set>

#include "client/cell_reader.h"
#include "client/owner_operation.h"

namespace forebay::client {

// What resolve and list have in common: requests that are answered by one message.
class DirectNames : public OwnerOperation {
 protected:
  using OwnerOperation::OwnerOperation;
  // Asks a node for these questions; `answered` has the body, unless it failed as a whole. `bulk`: for what comes with
  // it; may be null.
  template <class Message>
  void call(core::NodeId node, wire::MessageType type, const Message& message, std::vector<std::size_t> asked,
            std::move_only_function<void(std::span<const std::size_t>, Bytes)> answered,
            std::shared_ptr<reader::BulkReceiver> bulk = {});
  // What a node says of one name: whether that is the answer, or the walk goes on.
  void saidOf(std::size_t question, const wire::pb::Failure* failure);
  void forget() override;

 private:
  struct Asked {
    reader::Channel* channel;
    reader::RequestId id;
  };
  std::vector<std::shared_ptr<Asked>> requests_;
};

class DirectResolve : public DirectNames {
 public:
  struct Question {
    std::string mount;
    std::vector<std::string> paths;
    ResolveOptions options;
  };
  DirectResolve(DirectCell& cell, Question question, TimePoint deadline, CallId call,
                Callback<CellReader::Answers> done);

 private:
  class Room;
  std::size_t questions() const override { return question_.paths.size(); }
  core::Slot slotOf(std::size_t name) const override;
  void send(core::NodeId node, std::deque<std::size_t>& waiting) override;
  void ended(std::size_t name, const Error* error) override;
  void complete() override { done_(std::move(answers_)); }
  void finish(const Error& error) override { done_(fail(error)); }

  const Question question_;
  CellReader::Answers answers_;
  Callback<CellReader::Answers> done_;
};

class DirectList : public DirectNames {
 public:
  struct Question {
    std::string mount, path, cursor;
    ListOptions options;
  };
  DirectList(DirectCell& cell, Question question, TimePoint deadline, CallId call, Callback<DirectoryPage> done);

 private:
  std::size_t questions() const override { return 1; }
  core::Slot slotOf(std::size_t) const override { return core::slotOfPath(question_.mount, question_.path); }
  void send(core::NodeId node, std::deque<std::size_t>& waiting) override;
  void ended(std::size_t, const Error* error) override {
    if (error != nullptr) page_ = fail(*error);
  }
  void complete() override { done_(std::move(page_)); }
  void finish(const Error& error) override { done_(fail(error)); }

  const Question question_;
  Result<DirectoryPage> page_;
  Callback<DirectoryPage> done_;
};

}  // namespace forebay::client
