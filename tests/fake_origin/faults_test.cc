#include "fake_origin/faults.h"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace forebay::fake {
namespace {

using testing::HasSubstr;

FaultRule rule(std::string_view text) {
  auto parsed = parseFaultRule(boost::json::parse(text));
  EXPECT_TRUE(parsed.has_value()) << parsed.error().text();
  return parsed.value_or(FaultRule{});
}
std::string complaint(std::string_view text) {
  const auto parsed = parseFaultRule(boost::json::parse(text));
  return parsed ? "none" : parsed.error().message;
}

// Which of the first `n` gets of c/x a rule hits, as a string of '.' and '!'.
std::string hits(std::string_view text, int n) {
  Faults faults;
  EXPECT_TRUE(faults.add(rule(text)).has_value());
  std::string pattern;
  for (int i = 0; i < n; ++i) pattern += faults.match(Op::Get, "c/x") ? '!' : '.';
  return pattern;
}

TEST(Faults, hitTheRequestsThatTheRuleNames) {
  EXPECT_EQ(hits(R"({"action":{"type":"hang"}})", 3), "!!!");
  EXPECT_EQ(hits(R"({"every":3,"action":{"type":"hang"}})", 7), "..!..!.");
  EXPECT_EQ(hits(R"({"next":2,"action":{"type":"hang"}})", 4), "!!..");
  EXPECT_EQ(hits(R"({"skip":2,"next":1,"action":{"type":"hang"}})", 5), "..!..");
  EXPECT_EQ(hits(R"({"op":"head","action":{"type":"hang"}})", 2), "..");
  EXPECT_EQ(hits(R"({"name":"c/y*","action":{"type":"hang"}})", 2), "..");
  EXPECT_EQ(hits(R"({"probability":0,"action":{"type":"hang"}})", 4), "....");
}

TEST(Faults, chooseBySeedSoThatARunRepeats) {
  const char* half = R"({"probability":0.5,"seed":7,"action":{"type":"hang"}})";
  const std::string first = hits(half, 200);
  EXPECT_EQ(first, hits(half, 200));
  EXPECT_NE(first, hits(R"({"probability":0.5,"seed":8,"action":{"type":"hang"}})", 200));
  const auto count = std::count(first.begin(), first.end(), '!');
  EXPECT_GT(count, 60);
  EXPECT_LT(count, 140);
}

TEST(Faults, theFirstRuleThatFiresDecides) {
  Faults faults;
  ASSERT_TRUE(faults.add(rule(R"({"next":1,"action":{"type":"status","status":500}})")).has_value());
  ASSERT_TRUE(faults.add(rule(R"({"action":{"type":"cut","bytes":9}})")).has_value());
  EXPECT_EQ(faults.match(Op::Get, "c/x")->kind, FaultKind::Status);
  const auto second = faults.match(Op::Get, "c/x");
  EXPECT_EQ(second->kind, FaultKind::Cut);
  EXPECT_EQ(second->bytes, 9U);
  EXPECT_EQ(faults.rules()[0].rule.matched, 2U);
  EXPECT_EQ(faults.rules()[0].rule.fired, 1U);
}

TEST(Faults, badRulesAreNamed) {
  EXPECT_THAT(complaint("[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(complaint("{}"), HasSubstr("action is missing"));
  EXPECT_THAT(complaint(R"({"op":"fetch","action":{"type":"hang"}})"), HasSubstr("'fetch' is unknown"));
  EXPECT_THAT(complaint(R"({"evry":2,"action":{"type":"hang"}})"), HasSubstr("'evry' is unknown"));
  EXPECT_THAT(complaint(R"({"every":0,"action":{"type":"hang"}})"), HasSubstr("every"));
  EXPECT_THAT(complaint(R"({"probability":2,"action":{"type":"hang"}})"), HasSubstr("probability"));
  EXPECT_THAT(complaint(R"({"action":{"type":"explode"}})"), HasSubstr("'explode' is unknown"));
  EXPECT_THAT(complaint(R"({"action":{"type":"status","status":200}})"), HasSubstr("400 to 599"));
  EXPECT_THAT(complaint(R"({"action":{"type":"cut","bytes":-1}})"), HasSubstr("bytes must be a whole number"));
  EXPECT_THAT(complaint(R"({"action":{"type":"drip","ms":5}})"), HasSubstr("bytes"));
  EXPECT_THAT(complaint(R"({"action":{"type":"content_length"}})"), HasSubstr("delta"));
}

TEST(Faults, rulesAreBounded) {
  Faults faults;
  for (std::size_t i = 0; i < Faults::kMaxRules; ++i) ASSERT_TRUE(faults.add(FaultRule{}).has_value());
  EXPECT_EQ(faults.add(FaultRule{}).error().code, Code::Busy);
}

}  // namespace
}  // namespace forebay::fake
