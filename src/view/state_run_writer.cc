#include "view/state_run_writer.h"

#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "view/run_filter.h"
#include "view/run_format.h"

namespace millrace::view {

struct StateRunWriter::Impl {
  Impl(std::uint64_t fingerprint, Sink to) : sink(std::move(to)) {
    ByteWriter writer(open);
    writer.put_bytes(run_format::kMagic);
    writer.put(run_format::kVersion);
    writer.put(fingerprint);
    header = open;
    status = give();
  }

  /// The open bytes go to the sink.
  Status give() {
    written.size_bytes += open.size();
    written.crc32c = crc32c(open, written.crc32c);
    auto given = sink(open);
    open.clear();
    return given;
  }

  Status end_block() {
    if (block_entries == 0) return {};
    ByteWriter writer(index);
    writer.put(written.size_bytes);
    writer.put(static_cast<std::uint32_t>(open.size()));
    writer.put(block_entries);
    writer.put(crc32c(open));
    writer.put_string(first_key);
    ++blocks;
    block_entries = 0;
    MR_RETURN_IF_ERROR(give());
    return hashes.size() < run_format::kFilterKeys ? Status() : end_filter();
  }

  Status end_filter() {
    if (hashes.empty()) return {};
    open = make_filter(hashes);
    hashes.clear();
    ByteWriter writer(filter_index);
    writer.put(written.size_bytes);
    writer.put(static_cast<std::uint32_t>(open.size()));
    writer.put(crc32c(open));
    writer.put(blocks);
    ++filters;
    return give();
  }

  Status end_file() {
    MR_RETURN_IF_ERROR(end_block());
    MR_RETURN_IF_ERROR(end_filter());
    const std::uint64_t index_offset = written.size_bytes;
    ByteWriter writer(open);
    writer.put(filters);
    writer.put_bytes(filter_index);
    writer.put_bytes(index);
    writer.put(index_offset);
    writer.put(blocks);
    writer.put(written.entries);
    writer.put(crc32c(open, crc32c(header)));
    writer.put_bytes(run_format::kEndMagic);
    return give();
  }

  Sink sink;
  Status status;
  StateRunWriter::Written written;
  std::string header;
  std::string open;  // the block that is being filled
  std::uint32_t block_entries = 0;
  std::uint32_t blocks = 0;
  std::uint32_t filters = 0;
  std::string first_key;
  std::string last_key;
  std::vector<std::uint64_t> hashes;  // of the keys that no filter has yet
  std::string index;
  std::string filter_index;
};

StateRunWriter::StateRunWriter(std::uint64_t fingerprint, Sink sink)
    : impl_(std::make_unique<Impl>(fingerprint, std::move(sink))) {}
StateRunWriter::~StateRunWriter() = default;

Status StateRunWriter::add(std::string_view key, std::string_view state) {
  auto& to = *impl_;
  MR_RETURN_IF_ERROR(to.status);
  MR_CHECK(to.written.entries == 0 || key > to.last_key, "keys of a state run do not ascend");
  MR_CHECK(key.size() + state.size() < std::numeric_limits<std::uint32_t>::max() / 2,
           "an entry of {} bytes", key.size() + state.size());
  ByteWriter writer(to.open);
  writer.put_string(key);
  writer.put_string(state);
  if (to.block_entries == 0) to.first_key.assign(key);
  to.last_key.assign(key);
  to.hashes.push_back(filter_hash(key));
  ++to.written.entries;
  ++to.block_entries;
  if (to.open.size() >= run_format::kBlockBytes) to.status = to.end_block();
  return to.status;
}

Result<StateRunWriter::Written> StateRunWriter::finish() {
  MR_RETURN_IF_ERROR(impl_->status);
  impl_->status = impl_->end_file();
  MR_RETURN_IF_ERROR(impl_->status);
  return impl_->written;
}

}  // namespace millrace::view
