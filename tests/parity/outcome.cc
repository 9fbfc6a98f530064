#include "outcome.h"

#include <cmath>

#include "op/arrow_ipc.h"
#include "view/key_codec.h"

namespace millrace::parity {

namespace {

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  return fmt::format("{:a}", value);
}

Result<std::shared_ptr<ColumnBatch>> read_all(std::string_view stream,
                                              const std::vector<Column>& columns) {
  std::vector<Type> types;
  for (const Column& column : columns) types.push_back(column.type);
  auto out = std::make_shared<ColumnBatch>(types);
  MR_RETURN_IF_ERROR(op::read_arrow_stream(stream, [&](const op::ArrayBatchView& batch) -> Status {
    MR_TRY(const auto rows, op::read_columns(batch, columns));
    out->append_all({rows->views(), rows->rows()});
    return {};
  }));
  return out;
}

}  // namespace

std::string hex_text(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

std::string key_text(std::string_view key, std::span<const Type> types) {
  ColumnBatch batch(types);
  if (!view::decode_key(key, types, batch)) return "no key: " + hex_text(key);
  std::string out;
  for (std::size_t c = 0; c < types.size(); ++c) {
    const ColumnView column = batch.column(c).view();
    out += fmt::format("{}{} ", c == 0 ? "" : ", ", types[c].sql());
    if (!column.valid(0))
      out += "NULL";
    else if (types[c].kind == TypeKind::kDouble)
      out += float_text(column.as<double>()[0]);
    else if (types[c].kind == TypeKind::kFloat)
      out += float_text(static_cast<double>(column.as<float>()[0]));
    else
      out += fmt::format("'{}'", *value_text(column, 0));
  }
  return out;
}

std::string difference(const Outcome& expected, const Outcome& got, std::span<const Type> types) {
  for (std::size_t i = 0; i < std::max(expected.states.size(), got.states.size()); ++i) {
    const bool has_expected = i < expected.states.size();
    const bool has_got = i < got.states.size();
    if (has_expected && has_got && expected.states[i] == got.states[i]) continue;
    const auto text = [&](const Outcome& of, bool has) {
      if (!has) return std::string("nothing");
      return fmt::format("[{}] {}", key_text(of.states[i].first, types),
                         hex_text(of.states[i].second));
    };
    return fmt::format("state {} of {}: expected {}, got {}", i, expected.states.size(),
                       text(expected, has_expected), text(got, has_got));
  }
  if (expected.skipped != got.skipped) {
    for (std::size_t i = 0; i < std::max(expected.skipped.size(), got.skipped.size()); ++i) {
      if (i < expected.skipped.size() && i < got.skipped.size() &&
          expected.skipped[i] == got.skipped[i]) {
        continue;
      }
      const auto text = [&](const Outcome& of) {
        if (i >= of.skipped.size()) return std::string("nothing");
        const auto& [partition, offset, reason, raw] = of.skipped[i];
        return fmt::format("{}/{} {} {}", partition, offset, reason, raw);
      };
      return fmt::format("skipped row {}: expected {}, got {}", i, text(expected), text(got));
    }
  }
  if (expected.rows != got.rows) {
    std::size_t at = 0;
    while (at < expected.rows.size() && at < got.rows.size() && expected.rows[at] == got.rows[at])
      ++at;
    return fmt::format("rows: {} and {} bytes, which differ from byte {}", expected.rows.size(),
                       got.rows.size(), at);
  }
  return {};
}

Result<std::vector<State>> read_states(std::string_view stream) {
  const std::vector<Column> columns = {{"key", {TypeKind::kBlob}}, {"state", {TypeKind::kBlob}}};
  MR_TRY(const auto batch, read_all(stream, columns));
  std::vector<State> out;
  const auto* keys = batch->column(0).data<StringRef>();
  const auto* states = batch->column(1).data<StringRef>();
  for (std::size_t row = 0; row < batch->rows(); ++row)
    out.emplace_back(keys[row].view(), states[row].view());
  return out;
}

std::vector<std::string> write_states(std::span<const State> states, std::size_t rows) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < states.size(); begin += rows) {
    const auto part = states.subspan(begin, std::min(rows, states.size() - begin));
    op::OwnedBatch batch;
    batch.rows = part.size();
    op::BinaryArrayBuilder keys;
    op::BinaryArrayBuilder values;
    for (const auto& [key, state] : part) {
      keys.append(key);
      values.append(state);
    }
    for (const char* name : {"key", "state"})
      batch.fields.push_back({name, {.kind = op::ArrowKind::kBinary, .bits = 32}});
    batch.arrays.push_back(keys.finish());
    batch.arrays.push_back(values.finish());
    op::append_arrow_stream(batch, out.emplace_back());
  }
  return out;
}

Result<std::vector<Skipped>> read_skipped(std::string_view stream) {
  const std::vector<Column> columns = {{std::string(kPartitionColumn), {TypeKind::kInteger}},
                                       {std::string(kOffsetColumn), {TypeKind::kBigInt}},
                                       {"reason", {TypeKind::kVarchar}},
                                       {"raw", {TypeKind::kVarchar}}};
  MR_TRY(const auto batch, read_all(stream, columns));
  std::vector<Skipped> out;
  for (std::size_t row = 0; row < batch->rows(); ++row) {
    out.emplace_back(batch->column(0).data<std::int32_t>()[row],
                     batch->column(1).data<std::int64_t>()[row],
                     std::string(batch->column(2).data<StringRef>()[row].view()),
                     std::string(batch->column(3).data<StringRef>()[row].view()));
  }
  return out;
}

}  // namespace millrace::parity
