/* Reads every object of a directory in one batch and writes their bytes, in the order of names, to stdout.
 *
 *   read_directory MOUNT/DIRECTORY
 *
 * Names come page by page in the waiting form; the bytes come in the queue form, as an event loop would take them. */
#include <forebay/forebay.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 100000 };

struct batch {
  forebay_range* ranges;
  size_t count;
};

static int failed(const char* what, const forebay_error* error) {
  fprintf(stderr, "%s: %s: %s\n", what, forebay_code_name(error->code), error->message);
  return 1;
}

static char* joined(const char* directory, const char* name) {
  size_t length = strlen(directory) + strlen(name) + 2;
  char* text = malloc(length);
  if (text != NULL) snprintf(text, length, "%s/%s", directory, name);
  return text;
}

/* A range for each object of the page, with room for its bytes. */
static int add_page(struct batch* batch, const char* directory, const forebay_page* page) {
  for (size_t i = 0; i < forebay_page_count(page) && batch->count < MOST; ++i) {
    forebay_entry entry = {.size = sizeof entry};
    if (forebay_page_entry(page, i, &entry) != FOREBAY_OK || entry.directory) continue;
    forebay_piece* piece = malloc(sizeof *piece);
    if (piece == NULL) return 1;
    *piece = (forebay_piece){.base = malloc(entry.bytes + 1), .length = entry.bytes};
    batch->ranges[batch->count++] = (forebay_range){.size = sizeof(forebay_range),
                                                    .name = joined(directory, entry.name),
                                                    .length = UINT64_MAX,
                                                    .pieces = piece,
                                                    .piece_count = 1};
    if (piece->base == NULL || batch->ranges[batch->count - 1].name == NULL) return 1;
  }
  return 0;
}

static int list_all(forebay_client* client, const char* directory, struct batch* batch) {
  char* cursor = strdup("");
  do {
    forebay_error error = {.size = sizeof error};
    forebay_page* page = NULL;
    const forebay_code code = forebay_list(client, directory, cursor, 0, &page, NULL, &error);
    free(cursor);
    if (code != FOREBAY_OK) return failed(directory, &error);
    const int full = add_page(batch, directory, page);
    cursor = strdup(forebay_page_cursor(page));
    forebay_page_free(page);
    if (full || cursor == NULL) return 1;
  } while (cursor[0] != '\0');
  free(cursor);
  return 0;
}

static int read_all(forebay_client* client, forebay_queue* queue, struct batch* batch) {
  forebay_error error = {.size = sizeof error};
  forebay_call call = {.size = sizeof call, .queue = queue, .user = batch};
  if (forebay_read_batch(client, batch->ranges, batch->count, &call, &error) != FOREBAY_OK)
    return failed("read_batch", &error);
  forebay_completion done = {.size = sizeof done};
  while (forebay_drain(queue, &done, 1) == 0) {
    struct pollfd wake = {.fd = forebay_queue_fd(queue), .events = POLLIN};
    poll(&wake, 1, -1);
  }
  if (done.code != FOREBAY_OK) {
    fprintf(stderr, "read_batch: %s: %s\n", forebay_code_name(done.code), done.message);
    return 1;
  }
  for (size_t i = 0; i < batch->count; ++i) fwrite(batch->ranges[i].pieces->base, 1, batch->ranges[i].got, stdout);
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s MOUNT/DIRECTORY\n", argv[0]);
    return 2;
  }
  forebay_error error = {.size = sizeof error};
  forebay_client* client = NULL;
  forebay_queue* queue = NULL;
  if (forebay_connect(NULL, &client, &error) != FOREBAY_OK) return failed("connect", &error);
  if (forebay_queue_new(16, &queue, &error) != FOREBAY_OK) return failed("queue", &error);
  struct batch batch = {.ranges = calloc(MOST, sizeof(forebay_range)), .count = 0};
  int bad = batch.ranges == NULL || list_all(client, argv[1], &batch);
  if (!bad && batch.count != 0) bad = read_all(client, queue, &batch);
  forebay_disconnect(client);
  forebay_queue_free(queue);
  for (size_t i = 0; i < batch.count; ++i) {
    free(batch.ranges[i].pieces->base);
    free((void*)batch.ranges[i].pieces);
    free((void*)batch.ranges[i].name);
  }
  free(batch.ranges);
  return bad;
}
