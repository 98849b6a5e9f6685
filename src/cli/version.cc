// forebay version
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace forebay::cli {

int runVersion(Terminal& terminal) {
  if (terminal.json()) {
    JsonWriter json;
    json.beginObject().field("version", FOREBAY_VERSION).endObject();
    terminal.out(json.text() + "\n");
  } else {
    terminal.out("forebay " FOREBAY_VERSION "\n");
  }
  return kExitOk;
}

}  // namespace forebay::cli
