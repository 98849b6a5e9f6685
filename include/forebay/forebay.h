/* Forebay's client library: names and bytes of a cell, in C.
 *
 *   forebay_client* client = NULL;
 *   forebay_error error = {.size = sizeof error};
 *   if (forebay_connect(NULL, &client, &error) != FOREBAY_OK) die(error.message);
 *   forebay_object* object = NULL;
 *   uint64_t got = 0;
 *   forebay_open(client, "imagenet/train/shard-0001.tar", 0, &object, NULL, &error);
 *   forebay_read(object, 0, buffer, sizeof buffer, &got, NULL, &error);
 *   forebay_close(object);
 *   forebay_disconnect(client);
 *
 * Names are MOUNT/PATH; everything after MOUNT/ is the object's name as the origin has it. Lengths and offsets are
 * bytes, timeouts milliseconds, times of day nanoseconds since 1970 (UTC).
 *
 * THREE FORMS. Every function that asks the cell takes a forebay_call*:
 *   NULL, or one with neither callback nor queue   it waits, and returns the outcome
 *   with a callback                                it returns at once; the callback runs once, on an I/O thread
 *   with a queue                                   it returns at once; forebay_drain() gives the completion once
 * In the last two, FOREBAY_OK means "accepted", and any other code that nothing will be told. What a function fills in
 * (its out parameters, buffers, items) then belongs to the library until the completion is told, and is filled before;
 * strings and the forebay_call itself are copied before the function returns. The caller owns all its memory always.
 *
 * THREADS. Every function may be called from any thread, also for the same client, object or queue, except those that
 * end a handle (disconnect, close, free): nothing else may use that handle then or later. A callback must not block:
 * the waiting form, forebay_disconnect and forebay_queue_free answer FOREBAY_INVALID_ARGUMENT inside one.
 *
 * ERRORS. A code to decide by, and in forebay_error a message for people: what failed, on what, why, what to do. It is
 * filled on failure only; pass NULL where nobody reads it. A busy or lost node is asked again within the deadline, so a
 * node's restart is a pause and no error. A read gives all its bytes or an error, never part of both.
 *
 * FORK. A child may not use its parent's handles: asking functions answer FOREBAY_INVALID_ARGUMENT there, ending ones
 * forget the handle. It connects anew. exec is always fine: descriptors are close-on-exec.
 *
 * SHARED MEMORY. A client of this machine's node maps objects of 2 MiB and more which the node has whole, in the
 * background once they are read; reads then copy from the node's memory, without asking it. What isn't read for 10 s is
 * unmapped. Of everything else the node says where it is in its memory, and reads copy it from there;
 * forebay_view_bytes gives it without a copy. It takes a node of the same user, or a client that is root, and a node
 * with a tmpfs of its own (`forebay status` says so); otherwise bytes come over the socket.
 *
 * VERSIONS. A struct starts with its size; set it to sizeof. What a caller compiled earlier doesn't know isn't touched,
 * and what it leaves zero has its default. Later versions add at the end only.
 */
/* Written as C writes it: NOLINTBEGIN(modernize-*,readability-*,bugprone-*,cppcoreguidelines-*,google-*) */
#ifndef FOREBAY_FOREBAY_H
#define FOREBAY_FOREBAY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOREBAY_API __attribute__((visibility("default")))

typedef int forebay_code;
enum {
  FOREBAY_OK = 0,
  FOREBAY_INVALID_ARGUMENT = 1, /* repeating it won't help */
  FOREBAY_NOT_FOUND = 2,        /* no such object, directory or mount */
  FOREBAY_PERMISSION_DENIED = 3,
  FOREBAY_UNAUTHENTICATED = 4,   /* the origin refuses the node's credentials */
  FOREBAY_UNAVAILABLE = 5,       /* nobody answered: worth another try */
  FOREBAY_DEADLINE_EXCEEDED = 6, /* the timeout is over */
  FOREBAY_BUSY = 7,              /* a bound was reached: worth another try, after a while */
  FOREBAY_GONE = 8,              /* the open version left the origin before its bytes were cached: open it again */
  FOREBAY_CORRUPT = 9,           /* bytes that don't match their checksum */
  FOREBAY_UNSUPPORTED = 10,      /* this version doesn't do that */
  FOREBAY_CANCELLED = 11,
  FOREBAY_IO_ERROR = 12, /* the operating system refused */
  FOREBAY_INTERNAL = 13, /* a bug of ours */
  FOREBAY_READ_ONLY = 14
};
/* "NotFound"; static. */
FOREBAY_API const char* forebay_code_name(forebay_code code);
/* "0.1.0"; static. */
FOREBAY_API const char* forebay_version(void);

typedef struct forebay_client forebay_client; /* connections to a node or a cell, with one I/O thread */
typedef struct forebay_object forebay_object; /* one version of an object, open: a later version doesn't change it */
typedef struct forebay_page forebay_page;     /* a page of a directory */
typedef struct forebay_queue forebay_queue;   /* of completions */

typedef struct forebay_error {
  size_t size;
  forebay_code code;
  uint32_t retry_after_ms; /* FOREBAY_UNAVAILABLE, FOREBAY_BUSY: not before; 0: as the caller likes */
  char message[512];       /* ends with NUL; cut if longer */
} forebay_error;

/* ---- completions ---- */

typedef struct forebay_completion {
  size_t size;
  uint64_t id;       /* of the call */
  void* user;        /* as the call gave it */
  forebay_code code; /* of the whole call; out parameters and items are filled */
  uint32_t retry_after_ms;
  char message[512]; /* unless FOREBAY_OK */
} forebay_completion;

typedef void (*forebay_callback)(const forebay_completion* completion); /* valid during the callback */

typedef struct forebay_call {
  size_t size;
  uint32_t timeout_ms; /* 0: the client's */
  uint32_t reserved;   /* 0 */
  forebay_callback callback;
  forebay_queue* queue; /* not beside a callback */
  void* user;
  uint64_t id; /* out: for forebay_cancel(); set before the completion is told */
} forebay_call;

/* At most `capacity` calls (1 to 1,048,576) may be on their way or waiting to be drained; one more gets FOREBAY_BUSY.
 */
FOREBAY_API forebay_code forebay_queue_new(size_t capacity, forebay_queue** queue, forebay_error* error);
/* An eventfd, the queue's own: readable (poll, epoll, io_uring) while completions wait. Don't read or close it. */
FOREBAY_API int forebay_queue_fd(const forebay_queue* queue);
/* Takes up to `max` completions without waiting, and returns how many. Set completions[0].size: it is the distance
 * between elements. */
FOREBAY_API size_t forebay_drain(forebay_queue* queue, forebay_completion* completions, size_t max);
/* FOREBAY_BUSY while calls are on their way to it: cancel or wait for them first. */
FOREBAY_API forebay_code forebay_queue_free(forebay_queue* queue);

/* Asks a call to end with FOREBAY_CANCELLED; one that is about to end may still end otherwise. Its completion is told
 * in any case, and until then its memory is the library's. Ids that have ended are ignored. */
FOREBAY_API void forebay_cancel(forebay_client* client, uint64_t id);

/* ---- connecting ---- */

enum {
  FOREBAY_NO_SHARED_MEMORY = 1 /* every byte comes over the node's socket */
};
typedef struct forebay_options {
  size_t size;
  /* "unix:PATH" or "HOST:PORT" of a node. NULL: FOREBAY_NODE, else this machine's node, where the command line finds it
   * (FOREBAY_NODE_RUN_DIR, /run/forebay, $XDG_RUNTIME_DIR/forebay, /tmp/forebay-UID). */
  const char* node;
  /* "HOST:PORT" of 1 to 64 members of a cell (their node.listen), to read it directly, without a node of this machine:
   * the first that answers gives the cell's map, bytes come straight from the nodes that hold them. Every member must
   * be reached from here. Not beside `node`. */
  const char* const* direct;
  size_t direct_count;
  uint32_t timeout_ms;         /* of each call that gives none; 0: 60,000 */
  uint32_t connect_timeout_ms; /* how long the node, or a member, may take to answer at first; 0: 3,000 */
  uint32_t flags;              /* FOREBAY_NO_SHARED_MEMORY, or 0 */
  uint32_t reserved;           /* 0 */
} forebay_options;

/* Waits for the first answer; FOREBAY_UNAVAILABLE says where none was. NULL options: all defaults. */
FOREBAY_API forebay_code forebay_connect(const forebay_options* options, forebay_client** client, forebay_error* error);
/* Ends open calls with FOREBAY_CANCELLED, tells all completions, and joins the I/O thread. Objects stay to be closed,
 * and answer FOREBAY_CANCELLED. */
FOREBAY_API forebay_code forebay_disconnect(forebay_client* client);

/* ---- names ---- */

typedef struct forebay_attributes {
  size_t size;
  forebay_code code; /* of this name: FOREBAY_NOT_FOUND, ...; what follows is set if FOREBAY_OK */
  int32_t directory; /* 1: a directory, and nothing that follows is set */
  uint64_t bytes;
  int64_t mtime_ns;
  uint64_t chunk_bytes; /* reads that are whole chunks are the cheapest */
  char version[128];    /* the origin's word for it (an ETag), cut if longer */
} forebay_attributes;

/* Many names, in a few requests. Set attributes[0].size: it is the distance between elements. Returns the first code
 * that isn't FOREBAY_OK, with its message. */
FOREBAY_API forebay_code forebay_stat(forebay_client* client, const char* const* names, size_t count,
                                      forebay_attributes* attributes, forebay_call* call, forebay_error* error);

typedef struct forebay_entry {
  size_t size;
  const char* name;  /* one component; lives as long as the page */
  int32_t directory; /* 1: a directory */
  uint64_t bytes;
  int64_t mtime_ns;
} forebay_entry;

/* One page of a directory, in the order of names: `cursor` is NULL or "" for the first, then what forebay_page_cursor
 * said, until that is "". `max`: names at most; 0: the node's choice. The caller frees the page. */
FOREBAY_API forebay_code forebay_list(forebay_client* client, const char* directory, const char* cursor, uint32_t max,
                                      forebay_page** page, forebay_call* call, forebay_error* error);
FOREBAY_API size_t forebay_page_count(const forebay_page* page);
/* FOREBAY_INVALID_ARGUMENT at and beyond the count. */
FOREBAY_API forebay_code forebay_page_entry(const forebay_page* page, size_t index, forebay_entry* entry);
FOREBAY_API const char* forebay_page_cursor(const forebay_page* page); /* "": this was the last; lives as the page */
FOREBAY_API void forebay_page_free(forebay_page* page);

/* ---- bytes ---- */

enum {
  FOREBAY_REVALIDATE = 1 /* ask the origin for the version, whatever is cached */
};
FOREBAY_API forebay_code forebay_open(forebay_client* client, const char* name, uint32_t flags, forebay_object** object,
                                      forebay_call* call, forebay_error* error);
FOREBAY_API uint64_t forebay_object_bytes(const forebay_object* object);
FOREBAY_API void forebay_object_attributes(const forebay_object* object, forebay_attributes* attributes);
/* Calls that are on their way are unharmed. */
FOREBAY_API void forebay_close(forebay_object* object);

/* pread: `length` bytes at `offset`, fewer at the end of the object only, 0 at or beyond it. */
FOREBAY_API forebay_code forebay_read(forebay_object* object, uint64_t offset, void* buffer, uint64_t length,
                                      uint64_t* got, forebay_call* call, forebay_error* error);

/* All of an object as this machine's node holds it, for reading: `base` to `base` + forebay_object_bytes. Nothing is
 * copied, and the bytes stay what they are until forebay_unmap, whatever becomes of object, client and node; a forked
 * child has them too. Their memory is the node's: it has less for others while this lasts. What the node lacks it
 * fetches first, within the call's timeout. FOREBAY_NOT_FOUND: the node couldn't have all of it in one place in that
 * time; FOREBAY_GONE: the version has left the origin; FOREBAY_BUSY: it has given away as much as it may;
 * FOREBAY_UNSUPPORTED: a direct client, a node of another machine, an object of less than 2 MiB. */
typedef struct forebay_mapping forebay_mapping;
FOREBAY_API forebay_code forebay_map(forebay_object* object, forebay_mapping** mapping, const void** base,
                                     forebay_call* call, forebay_error* error);
FOREBAY_API void forebay_unmap(forebay_mapping* mapping);

/* `length` bytes at `offset` of an object in view, fewer at its end only: `base` to `base` + `got`, for reading. They
 * stay what they are until forebay_view_release, whatever becomes of object and node. Without a copy where this
 * machine's node has them in one piece of its memory (best: ranges inside one chunk, forebay_attributes.chunk_bytes)
 * and has no more than its share of that in view already (node.max_pinned); otherwise they are copied into this
 * process's memory, as forebay_read does. The call and its errors are forebay_read's. */
typedef struct forebay_view forebay_view;
FOREBAY_API forebay_code forebay_view_bytes(forebay_object* object, uint64_t offset, uint64_t length,
                                            forebay_view** view, const void** base, uint64_t* got, forebay_call* call,
                                            forebay_error* error);
/* 1: the bytes are the node's, which has less memory for others until they are released. 0: a copy. */
FOREBAY_API int forebay_view_pinned(const forebay_view* view);
/* From any thread, also in a callback; never waits. Release views before forebay_disconnect: they stay good after it,
 * but the node hears of no later release, and holds the bytes until this process ends. A forked child may not use its
 * parent's views; releasing one there forgets the handle. */
FOREBAY_API void forebay_view_release(forebay_view* view);

typedef struct forebay_piece {
  void* base;
  uint64_t length;
} forebay_piece;

typedef struct forebay_range {
  size_t size;
  forebay_object* object; /* which, or */
  const char* name;       /* of an object that isn't open; not beside `object` */
  uint64_t offset;
  uint64_t length;             /* cut at the object's end; UINT64_MAX: to its end */
  const forebay_piece* pieces; /* where the bytes go, one piece after the other; together `length` or more, or as much
                                  as the object has there. forebay_prefetch ignores them */
  size_t piece_count;
  forebay_code code; /* out */
  uint64_t got;      /* out: bytes read, or brought into the cell */
} forebay_range;

/* Up to 1,048,576 ranges at once, in as few requests as they fit in. Set ranges[0].size: it is the distance between
 * elements. Every range has its own outcome; returns the first code that isn't FOREBAY_OK, with its message. */
FOREBAY_API forebay_code forebay_read_batch(forebay_client* client, forebay_range* ranges, size_t count,
                                            forebay_call* call, forebay_error* error);
/* Brings the ranges into the cell, and no byte here. Returns when they are there: use a callback or queue to go on. */
FOREBAY_API forebay_code forebay_prefetch(forebay_client* client, forebay_range* ranges, size_t count,
                                          forebay_call* call, forebay_error* error);

#ifdef __cplusplus
}
#endif
#endif
/* NOLINTEND(modernize-*,readability-*,bugprone-*,cppcoreguidelines-*,google-*) */
