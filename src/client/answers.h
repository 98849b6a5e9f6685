// What nodes answer about names, as what clients say of them.
#pragma once

#include "client/client.h"
#include "wire/messages.h"

namespace forebay::client {

// An answer that can't be one to its question.
Error notAnswered();
Result<Attributes> attributesOf(const wire::pb::Resolved& item);
// Takes the names out of it.
DirectoryPage pageOf(wire::pb::ListReply& reply);

}  // namespace forebay::client
