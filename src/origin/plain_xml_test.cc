#include "origin/plain_xml.h"

#include <gtest/gtest.h>

namespace forebay::origin {
namespace {

// What it holds, as "name(child(...) child=text)"; nothing if it isn't plain. Elements named t are read as text, those
// named s are skipped.
std::string children(PlainXml& in) {
  std::string all, scratch;
  while (in.next()) {
    const std::string name(in.name()), attributes(in.attributes());
    if (!all.empty()) all += ' ';
    all += name + (attributes.empty() ? "" : "[" + attributes + "]");
    if (name == "t")
      all += "=" + std::string(in.text(scratch));
    else if (name == "s")
      in.skip();
    else
      all += "(" + children(in) + ")";
  }
  return all;
}
std::string read(std::string_view text) {
  PlainXml in(text);
  if (!in.next()) return "";
  const std::string root(in.name());
  const std::string all = children(in);
  return in.ended() ? root + "(" + all + ")" : "";
}

TEST(PlainXml, readsElementsAndTheirTexts) {
  EXPECT_EQ(read("<a><t>x</t><b><t>y z</t><t/></b> \n<t></t><c/></a>"), "a(t=x b(t=y z t=) t= c())");
  EXPECT_EQ(read("<a/>"), "a()");
  EXPECT_EQ(read("<a><t>  </t><t>a>b]]></t></a>\n"), "a(t=   t=a>b]]>)");
}

TEST(PlainXml, takesMarkAndDeclarationOfItsOwnEncodingAlone) {
  EXPECT_EQ(read("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><a/>"), "a()");
  EXPECT_EQ(read("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a/>"), "a()");
  EXPECT_EQ(read("<?xml version=\"1.0\"?><a/>"), "a()");
  EXPECT_EQ(read("<?xml version=\"1.0\" encoding=\"latin1\"?><a/>"), "");
  EXPECT_EQ(read("\xFE\xFF<a/>"), "");
}

TEST(PlainXml, readsAttributesInDoubleQuotesAlone) {
  EXPECT_EQ(read("<a><t x=\"1\" y:z=\"<>\">v</t><b  c=\"\" /></a>"), "a(t[ x=\"1\" y:z=\"<>\"]=v b[  c=\"\" ]())");
  for (const char* bad :
       {"<a x='1'/>", "<a x=1/>", "<a x/>", "<a x=\"1\"y=\"2\"/>", "<a x=\"1/>", "<a x =\"1\"/>", "<a "})
    EXPECT_EQ(read(bad), "") << bad;
}

TEST(PlainXml, unescapesWhatXmlNames) {
  EXPECT_EQ(read("<a><t>&lt;&amp;amp;&gt;&quot;x&apos;</t></a>"), "a(t=<&amp;>\"x')");
  for (const char* other : {"&#38;", "&", "&amp", "&nbsp;", "&&amp;"})
    EXPECT_EQ(read("<a><t>" + std::string(other) + "</t></a>"), "") << other;
}

TEST(PlainXml, skipsWhateverPlainThingsThereAre) {
  EXPECT_EQ(read("<a><s>x<y>&#38;\r</y>z<q w=\"1\"/><s/></s><t>v</t><s/></a>"), "a(s t=v s)");
  for (const char* bad :
       {"<a><s><y></s></a>", "<a><s></t></a>", "<a><s><!-- --></s></a>", "<a><s>", "<a><s><", "<a><s></"})
    EXPECT_EQ(read(bad), "") << bad;
}

TEST(PlainXml, leavesAllElseToOthers) {
  for (const std::string& other : {std::string(),
                                   std::string(" "),
                                   std::string("x"),
                                   std::string("<"),
                                   std::string("<a"),
                                   std::string("<a>"),
                                   std::string("<a></a"),
                                   std::string("<a></b>"),
                                   std::string("<a></a >"),
                                   std::string("<a></ab>"),
                                   std::string("</a>"),
                                   std::string("<a/><b/>"),
                                   std::string("<a/>x"),
                                   std::string("x<a/>"),
                                   std::string("<a / >"),
                                   std::string("<1/>"),
                                   std::string("<a><!-- --></a>"),
                                   std::string("<a><t><![CDATA[x]]></t></a>"),
                                   std::string("<!DOCTYPE a><a/>"),
                                   std::string("<a><?b?></a>"),
                                   std::string("<a><t>x<b/></t></a>"),
                                   std::string("<a>x<b/></a>"),
                                   std::string("<a><t>\r\n</t></a>"),
                                   std::string("<a><t>\0</t></a>", 15),
                                   std::string("<a/>\0", 5),
                                   std::string("<?xml version=\"1.0\"?>"),
                                   std::string("\xEF\xBB\xBF")})
    EXPECT_EQ(read(other), "") << other;
}

TEST(PlainXml, isBoundedInDepth) {
  const auto nested = [](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += "<s>";
    for (int i = 0; i < depth; ++i) text += "</s>";
    return "<a>" + text + "</a>";
  };
  EXPECT_EQ(read(nested(7)), "a(s)");
  EXPECT_EQ(read(nested(8)), "");
  EXPECT_EQ(read(nested(1'000'000)), "");
}

TEST(PlainXml, saysNothingOfWhatIsCutOff) {
  const std::string whole = "<a b=\"c\"><t>x &amp; y</t><s><b/>z</s><c><t/></c></a>";
  ASSERT_NE(read(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_EQ(read(whole.substr(0, size)), "") << size;
}

}  // namespace
}  // namespace forebay::origin
