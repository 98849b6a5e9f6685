// Any text as a configuration file: an error or a document whose values can all be shown.
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/config.h"
#include "base/config_values.h"

namespace config = forebay::config;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const config::Schema schema{
      .tables = {{.name = "node",
                  .keys = {{.name = "memory", .type = config::Type::Amount},
                           {.name = "name"},
                           {.name = "n", .type = config::Type::Integer, .most = 9},
                           {.name = "t", .type = config::Type::Duration},
                           {.name = "b", .type = config::Type::Bool}}},
                 {.name = "cell.member",
                  .many = true,
                  .keys = {{.name = "name", .required = true},
                           {.name = "size", .type = config::Type::Size, .power_of_two = true},
                           {.name = "list", .type = config::Type::List},
                           {.name = "s", .type = config::Type::Secret}}}}};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string line(text.substr(0, text.find('\n')));
  const auto document =
      config::parse(schema, {.text = text, .file = "f", .overrides = {.environment = {}, .sets = {line}}});
  if (document) (void)config::effective(*document);
  (void)config::parse(schema, {.text = text, .file = "f"});
  (void)config::parseHostPort(line);
  return 0;
}
