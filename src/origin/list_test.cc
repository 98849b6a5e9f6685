#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "origin/azure_list.h"
#include "origin/dialect.h"
#include "origin/s3_list.h"

namespace forebay::origin {
namespace {

std::vector<std::string> names(const ListPage& page) {
  std::vector<std::string> out;
  for (const ListEntry& entry : page.entries) out.push_back(entry.name + (entry.directory ? "/" : ""));
  return out;
}

std::string azureBlob(std::string name, int size, std::string more = "", std::string attributes = "") {
  return "<Blob><Name" + attributes + ">" + name +
         "</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT"
         "</Last-Modified><Etag>0x8D</Etag><Content-Length>" +
         std::to_string(size) + "</Content-Length></Properties>" + more + "</Blob>";
}
std::string azure(std::string blobs, std::string marker = "") {
  return "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"http://x/\" "
         "ContainerName=\"c\"><Prefix>p/</Prefix><Blobs>" +
         blobs + "</Blobs><NextMarker>" + marker + "</NextMarker></EnumerationResults>";
}

TEST(AzureList, readsObjectsAndPrefixes) {
  const auto page = parseAzureList(
      azure(azureBlob("p/a", 7) + "<BlobPrefix><Name>p/dir/</Name></BlobPrefix>" + azureBlob("p/b &amp; &lt;c", 0),
            "next!"),
      "p/", "");
  ASSERT_TRUE(page) << page.error().text();
  EXPECT_EQ(names(*page), (std::vector<std::string>{"a", "dir/", "b & <c"}));
  EXPECT_EQ(page->entries[0].info.size, 7U);
  EXPECT_EQ(page->entries[0].info.version, "0x8D");
  EXPECT_EQ(page->entries[0].info.mtime_ns, 784'111'777'000'000'000);
  EXPECT_EQ(page->next, "next!");
}

TEST(AzureList, keepsNamesThatAreOnlySpacesAndDecodesTheEncoded) {
  const auto page = parseAzureList(
      azure(azureBlob(" ", 1) + azureBlob("a%00%EF%BF%BF+%25", 1, "", " Encoded=\"true\"") + azureBlob("100%25", 1)),
      "", "");
  ASSERT_TRUE(page) << page.error().text();
  EXPECT_EQ(names(*page), (std::vector<std::string>{" ", std::string("a\0\xEF\xBF\xBF+%", 7), "100%25"}));
}

TEST(AzureList, aMarkerOfADirectoryIsADirectoryOnce) {
  const std::string marker = "<Metadata><Hdi_isfolder>true</Hdi_isfolder></Metadata>";
  const auto page = parseAzureList(
      azure(azureBlob("p/", 0) + azureBlob("p/d", 0, marker) + "<BlobPrefix><Name>p/d/</Name></BlobPrefix>" +
            azureBlob("p/e", 0, "<Metadata><owner>x</owner></Metadata>")),
      "p/", "");
  ASSERT_TRUE(page) << page.error().text();
  EXPECT_EQ(names(*page), (std::vector<std::string>{"d/", "e"}));
}

TEST(AzureList, mayBeEmptyAndGoOn) {
  const auto page = parseAzureList(azure("", "m2"), "p/", "m1");
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->entries.empty());
  EXPECT_EQ(page->next, "m2");
}

TEST(AzureList, refusesWhatCannotBe) {
  for (const std::string& bad : {std::string(), std::string("<html>"), std::string("<Error><Code>X</Code></Error>"),
                                 azure(azureBlob("elsewhere", 1)), azure("<BlobPrefix><Name>p/d</Name></BlobPrefix>"),
                                 azure("<Blob><Name>p/a</Name></Blob>"), azure("<Blob/>"), azure("", "same"),
                                 azure(azureBlob("p/a", 1)).substr(0, 300)}) {
    const auto page = parseAzureList(bad, "p/", "same");
    ASSERT_FALSE(page) << bad;
    EXPECT_EQ(page.error().code, Code::Corrupt);
  }
}

std::string s3Object(std::string key, int size) {
  return "<Contents><Key>" + key +
         "</Key><LastModified>1994-11-06T08:49:37.000Z</LastModified><ETag>&quot;9e1&quot;</ETag>"
         "<Size>" +
         std::to_string(size) + "</Size></Contents>";
}
std::string s3(std::string inner, bool encoded = true) {
  return "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>" +
         std::string(encoded ? "<EncodingType>url</EncodingType>" : "") + inner + "</ListBucketResult>";
}

TEST(S3List, readsObjectsAndPrefixes) {
  const auto page = parseS3List(
      s3("<IsTruncated>true</IsTruncated><NextContinuationToken>t2</NextContinuationToken>" +
         s3Object("p%2Fa+b%2B%25", 7) + s3Object("p/", 0) + "<CommonPrefixes><Prefix>p/dir/</Prefix></CommonPrefixes>"),
      "p/", "t1");
  ASSERT_TRUE(page) << page.error().text();
  EXPECT_EQ(names(*page), (std::vector<std::string>{"a b+%", "dir/"}));
  EXPECT_EQ(page->entries[0].info.version, "9e1");
  EXPECT_EQ(page->entries[0].info.mtime_ns, 784'111'777'000'000'000);
  EXPECT_EQ(page->next, "t2");
}

TEST(S3List, takesKeysAsTheyAreWhereTheyArentEncoded) {
  const auto page = parseS3List(s3(s3Object("a+b%2B", 1), false), "", "");
  ASSERT_TRUE(page);
  EXPECT_EQ(names(*page), (std::vector<std::string>{"a+b%2B"}));
}

TEST(S3List, refusesWhatCannotBe) {
  for (const std::string& bad :
       {std::string("<x/>"), s3(s3Object("elsewhere", 1)), s3(s3Object("p/%zz", 1)),
        s3("<Contents><Key>p/a</Key></Contents>"), s3("<CommonPrefixes><Prefix>p/d</Prefix></CommonPrefixes>"),
        s3("<IsTruncated>true</IsTruncated>"),
        s3("<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>")}) {
    const auto page = parseS3List(bad, "p/", "same");
    ASSERT_FALSE(page) << bad;
    EXPECT_EQ(page.error().code, Code::Corrupt);
  }
}

TEST(Lists, whereTheNextPageBeginsIsFoundWithoutReadingThisOne) {
  const std::string names(100'000, ' ');
  EXPECT_EQ(plainTextOf("<R><NextMarker>m/1</NextMarker></R>", "NextMarker"), "m/1");
  EXPECT_EQ(plainTextOf("<R>" + names + "<NextMarker>m2</NextMarker></R>", "NextMarker"), "m2");
  EXPECT_EQ(plainTextOf("<R><Token>t</Token>" + names + "</R>", "Token"), "t");
  EXPECT_EQ(plainTextOf("<R>" + names + "<Token>t</Token>" + names + "</R>", "Token"), "") << "not looked for there";
  for (const char* none : {"", "<NextMarker/>", "<NextMarker></NextMarker>", "<NextMarker>m", "m</NextMarker>",
                           "<NextMarker>a&amp;b</NextMarker>", "<NextMarker><!-- m --></NextMarker>"})
    EXPECT_EQ(plainTextOf(none, "NextMarker"), "") << none;
}

void expectSame(const std::string& text, const std::optional<ListPage>& plain, const Result<ListPage>& tree) {
  ASSERT_TRUE(plain) << text;
  ASSERT_TRUE(tree) << text;
  EXPECT_EQ(plain->next, tree->next);
  ASSERT_EQ(names(*plain), names(*tree)) << text;
  for (std::size_t i = 0; i < tree->entries.size(); ++i) {
    const ListEntry &a = plain->entries[i], &b = tree->entries[i];
    EXPECT_EQ(a.info.size, b.info.size) << text;
    EXPECT_EQ(a.info.version, b.info.version) << text;
    EXPECT_EQ(a.info.mtime_ns, b.info.mtime_ns) << text;
    EXPECT_EQ(a.md5, b.md5) << text;
  }
}

const std::string kAzureUsual =
    "<Blob><Name>p/&quot;a&quot; &amp; b</Name><Snapshot/><Properties><Creation-Time>Sun, 06 Nov 1994 08:49:37 "
    "GMT</Creation-Time><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified><Etag>0x8D&amp;</Etag>"
    "<Content-Length>3</Content-Length><Content-Type>a/b; c=&quot;d&quot;</Content-Type><Content-Encoding/>"
    "<Content-MD5>XrY7u+Ae7tCTyyK7j1rNww==</Content-MD5><BlobType>BlockBlob</BlobType></Properties><Metadata><x>y</x>"
    "<Hdi_IsFolder>&amp;</Hdi_IsFolder></Metadata><OrMetadata/></Blob>";

TEST(AzureList, whatTheServiceWritesNeedsNoTree) {
  for (const std::string& text :
       {azure(""), azure(kAzureUsual, "a&amp;b"), azure(azureBlob("p/a%20+", 1, "", " Encoded=\"true\"")),
        azure(azureBlob("p/d", 0, "<Metadata><hdi_isfolder>TRUE</hdi_isfolder></Metadata>") +
              "<BlobPrefix><Name>p/d/</Name></BlobPrefix>\n <BlobPrefix><Properties><Etag>x</Etag></Properties>"
              "<Name>p/e/</Name></BlobPrefix>"),
        azure("<Blob><Name>p/r</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>")})
    expectSame(text, readPlainAzureList(text, "p/"), readAzureListTree(text, "p/"));
}

TEST(S3List, whatServicesWriteNeedsNoTree) {
  const std::string full =
      "<Contents><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ETag>\"9&amp;\"</ETag><Key>p%2Fx</"
      "Key><LastModified>1994-11-"
      "06T08:49:37.5Z</LastModified><Owner><DisplayName>o</DisplayName><ID>1</ID></Owner><Size>5</Size>"
      "<StorageClass>STANDARD</StorageClass></Contents>\n<CommonPrefixes><Prefix>p/d%20/</Prefix></CommonPrefixes>";
  const std::string more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;2</NextContinuationToken>";
  for (const std::string& text :
       {s3(""), s3(full + s3Object("p%2F", 0)), s3(more + full),
        s3(full + more + "<EncodingType>url</EncodingType>", false), s3(s3Object("p/a%2", 1), false)})
    expectSame(text, readPlainS3List(text, "p/"), readS3ListTree(text, "p/"));
}

TEST(Lists, whatOnlyATreeTellsIsReadFromOne) {
  const std::string a = azureBlob("p/a", 1), doubled = "<Name>p/b</Name><Name>p/c</Name>";
  const std::string about = "<Properties><Etag>e</Etag><Content-Length>1</Content-Length></Properties>";
  for (const std::string& text :
       {azure("<!-- --> " + a), azure(azureBlob("<![CDATA[p/b]]>", 1)), azure(azureBlob("p/&#98;", 1)),
        azure("<Blob>" + doubled + about + "</Blob>"), azure(azureBlob("p/b", 1, "", " Encoded='true'")),
        azure(a) + "<!-- -->", azure("<Blob>" + about + "<Properties/><Name>p/b</Name></Blob>"),
        azure(azureBlob("p/a\r\n", 1)), azure("</Blobs><Blobs>" + a)}) {
    EXPECT_FALSE(readPlainAzureList(text, "p/")) << text;
    EXPECT_TRUE(parseAzureList(text, "p/", "")) << text;
  }
  const std::string object = s3Object("p/a%2B", 1);
  for (const std::string& text :
       {s3(std::string(5'000, ' ') + object + "<EncodingType>url</EncodingType>" + std::string(5'000, ' '), false),
        s3(object + "<EncodingType>x</EncodingType>"), s3("<!-- -->" + object),
        s3(object + "<IsTruncated/><IsTruncated/>")}) {
    EXPECT_FALSE(readPlainS3List(text, "p/")) << text;
    EXPECT_TRUE(parseS3List(text, "p/", "")) << text;
  }
}

TEST(Lists, noPartOfAListPassesForAWholeOne) {
  const std::string azures = azure(kAzureUsual, "next"), objects = s3(s3Object("p/a", 1));
  for (std::size_t size = 0; size < azures.size(); ++size)
    EXPECT_FALSE(parseAzureList(azures.substr(0, size), "p/", ""));
  for (std::size_t size = 0; size < objects.size(); ++size)
    EXPECT_FALSE(parseS3List(objects.substr(0, size), "p/", ""));
}

TEST(Lists, deepNestingIsJustAnotherBadAnswer) {
  std::string deep;
  for (int i = 0; i < 500'000; ++i) deep += "<a>";
  for (int i = 0; i < 500'000; ++i) deep += "</a>";
  EXPECT_FALSE(parseS3List(deep, "", ""));
  EXPECT_FALSE(parseAzureList(deep, "", ""));
}

}  // namespace
}  // namespace forebay::origin
