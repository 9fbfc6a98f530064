/* The operator of a Millrace view as a C library: rows of events in, (key, state) out.
 *
 * Any engine that can call C runs a view with it: `partial` on the rows of each task, a shuffle by
 * key, `merge` on the states of each key, `finalize` where rows are wanted. States are merged to
 * the same bytes in whatever order and grouping. Arrays come and go by the Arrow C Data Interface.
 * docs/reference/operator.md has the whole contract.
 *
 * Thread: a handle is used by one thread at a time; several handles at once. No exception and no
 * C++ type crosses. This header is C99 and C++.
 */
#ifndef MILLRACE_OP_H
#define MILLRACE_OP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

/* Changes when a caller that was built against an older header would break. */
#define MILLRACE_OP_ABI 1

/* What a call returns. Below 0: it failed, and millrace_op_error() says why. */
#define MILLRACE_OP_OK 0
#define MILLRACE_OP_FULL 1 /* it was done, and the table has reached its memory: drain it */
#define MILLRACE_OP_END 2  /* there is nothing more to give; the arguments were not touched */

#define MILLRACE_OP_BAD_ARGUMENT (-1)  /* the call, the plan or the batch is wrong */
#define MILLRACE_OP_BAD_STATE (-2)     /* bytes are not a key and a state of this view */
#define MILLRACE_OP_NO_MEMORY (-3)     /* more memory is needed than was given */
#define MILLRACE_OP_NOT_SUPPORTED (-4) /* a right wish that this version does not fulfil */
#define MILLRACE_OP_FAULT (-5)         /* we are wrong; close the handle */

typedef struct millrace_op millrace_op;

/* MILLRACE_OP_ABI of the library. */
int millrace_op_abi(void);

/* Makes an operator for one view. `plan` is the JSON document of `millrace plan`; `memory_bytes` is
 * the size at which the table of groups asks to be drained, 0 for 256 MiB. */
int millrace_op_open(const char* plan, size_t plan_bytes, uint64_t memory_bytes, millrace_op** op);

/* {"abi":1,"version":"...","build":"SHA-256 of the library's file","plan":"SHA-256 of the plan",
 *  "fingerprint":"...","view":"...","state_version":1}. Lives as long as the handle. */
const char* millrace_op_hello(millrace_op* op);

/* Adds rows: a struct array whose children have the names of the stream's columns and of
 * _partition, _offset and _arrival. `stream` names the stream, NULL where the view reads one.
 * Takes both arguments over: they are released, whatever is returned. Rows whose evaluation fails
 * are left out and kept for millrace_op_drain_skipped(). */
int millrace_op_partial(millrace_op* op, const char* stream, struct ArrowSchema* schema,
                        struct ArrowArray* batch);

/* Adds states: a struct array with the binary children `key` and `state`. Takes both over. */
int millrace_op_merge(millrace_op* op, struct ArrowSchema* schema, struct ArrowArray* states);

/* Gives the table's states, in the order of their keys, a batch per call, until MILLRACE_OP_END;
 * the table is empty from the first call on. The caller releases what it got. */
int millrace_op_drain_states(millrace_op* op, struct ArrowSchema* schema,
                             struct ArrowArray* states);

/* Gives what was skipped since the last time: `stream`, `_partition`, `_offset`, `reason`,
 * and `raw`, the row as JSON. */
int millrace_op_drain_skipped(millrace_op* op, struct ArrowSchema* schema,
                              struct ArrowArray* skipped);

/* Gives the view's rows, in the order of their keys, a batch per call, until MILLRACE_OP_END; the
 * table is empty from the first call on. `whole` is not 0 where the table has all groups of the
 * view: then those that exist without any event are there too. */
int millrace_op_finalize(millrace_op* op, int whole, struct ArrowSchema* schema,
                         struct ArrowArray* rows);

/* Why the last call on this handle failed, "" if it did not; with NULL: why the last
 * millrace_op_open() of this thread failed. Lives until the next call. */
const char* millrace_op_error(const millrace_op* op);

/* NULL is allowed. Batches that were given out stay valid. */
void millrace_op_close(millrace_op* op);

#ifdef __cplusplus
}
#endif

#endif /* MILLRACE_OP_H */
