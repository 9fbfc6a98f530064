#include "format/csv_decoder.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "format/csv_scanner.h"
#include "format/json_text.h"
#include "format/row_writer.h"

namespace millrace::format {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

class CsvBody {
 public:
  CsvBody(std::string_view text, const DecodeLimits& limits, const CsvOptions& options,
          const StreamDefinition& stream, const ColumnRules& rules, TextFieldReader& fields,
          Decoded& out)
      : limits_(limits),

        fields_(fields),
        out_(out),
        rows_(stream, rules, *out.columns),
        scanner_(text, options.delimiter, limits.record_bytes_max, options.blank_records),
        text_is_utf8_(first_bad_utf8(text) == text.size()) {
    if (options.header) return;
    for (std::uint32_t i = 0; i < stream.columns.size(); ++i) {
      if (rules.closed(i)) continue;
      names_.push_back(stream.columns[i].name);
      targets_.push_back(i);
    }
  }

  void read(bool header) {
    if (header && !read_header()) return;
    for (;;) {
      switch (scanner_.next()) {
        case CsvScanner::Step::kEnd:
          return;
        case CsvScanner::Step::kRecord:
          if (!read_record()) {
            rows_.drop();
            refuse(fault_);
          }
          break;
        case CsvScanner::Step::kBad:
          refuse({error_id::kBadPayload, std::string(scanner_.reason())});
          break;
        case CsvScanner::Step::kTooLarge:
          refuse({error_id::kRecordTooLarge,
                  fmt::format("the record has more than {} bytes", limits_.record_bytes_max)});
          break;
      }
    }
  }

 private:
  /// False: nothing of the body can be read.
  bool read_header() {
    const auto step = scanner_.next();
    if (step == CsvScanner::Step::kEnd) return false;
    if (step == CsvScanner::Step::kTooLarge) {
      refuse({error_id::kRecordTooLarge, "the header is too large"});
      return false;
    }
    if (step == CsvScanner::Step::kBad) {
      refuse({error_id::kBadPayload, fmt::format("the header: {}", scanner_.reason())});
      return false;
    }
    if (!check_utf8()) {
      refuse(fault_);
      return false;
    }
    const auto& fields = scanner_.fields();
    if (fields.size() > kFieldsMax) {
      refuse({error_id::kBadPayload,
              fmt::format("the header has {} names, {} are allowed", fields.size(), kFieldsMax)});
      return false;
    }
    for (const auto& field : fields) names_.emplace_back(field.text);
    auto sorted = names_;
    std::ranges::sort(sorted);
    if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end()) {
      refuse({error_id::kDuplicateKey,
              fmt::format("the header names \"{}\" twice", shortened(*twice, 64))});
      return false;
    }
    for (const auto& name : names_) targets_.push_back(rows_.column_of(name));
    header_ = scanner_.raw();
    return true;
  }

  bool check_utf8() {
    if (text_is_utf8_) return true;
    const std::size_t bad = first_bad_utf8(scanner_.raw());
    if (bad == scanner_.raw().size()) return true;
    fault_ = {error_id::kBadUtf8, fmt::format("byte {} is not UTF-8", bad + 1)};
    return false;
  }

  bool read_record() {
    if (!check_utf8()) return false;
    const auto& fields = scanner_.fields();
    if (fields.size() != targets_.size()) {
      fault_ = {error_id::kBadPayload,
                fmt::format("the record has {} fields, {} has {}", fields.size(),
                            header_.empty() ? "the stream" : "the header", targets_.size())};
      return false;
    }
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const CsvField& field = fields[i];
      if (field.text.empty() && !field.quoted) continue;
      if (!targets_[i]) {
        if (!put_unknown(i, field.text)) return false;
        continue;
      }
      FieldFault problem;
      if (!fields_.put(field.text, rows_.column(*targets_[i]), rows_.arena(), problem)) {
        fault_ = rows_.fault_of(*targets_[i], std::move(problem));
        return false;
      }
    }
    return rows_.finish(fault_);
  }

  bool put_unknown(std::size_t index, std::string_view text) {
    json_.clear();
    if (rows_.keeps_unknown()) append_json_string(json_, text);
    return rows_.put_unknown(names_[index], json_, fault_);
  }

  /// With the header, so that the bytes can be read again by themselves.
  void refuse(const RecordFault& fault) {
    std::string raw;
    if (!header_.empty()) {
      raw = header_;
      raw += '\n';
    }
    raw += scanner_.raw().substr(0, kRawBytesMax - std::min(raw.size(), kRawBytesMax));
    out_.refuse(limits_, {.line = scanner_.line(),
                          .id = std::string(fault.id),
                          .reason = fault.reason,
                          .raw = std::move(raw)});
  }

  static constexpr std::size_t kFieldsMax = 4 * std::size_t{kColumnsMax};

  const DecodeLimits& limits_;
  TextFieldReader& fields_;
  Decoded& out_;
  RowWriter rows_;
  CsvScanner scanner_;
  const bool text_is_utf8_;
  std::vector<std::string> names_;  // of the fields of a record
  std::vector<std::optional<std::uint32_t>> targets_;
  std::string_view header_;
  std::string json_;
  RecordFault fault_;
};

}  // namespace

void CsvDecoder::decode(const PaddedBytes& body, const CsvOptions& options,
                        const StreamDefinition& stream, const ColumnRules& rules, Decoded& out) {
  std::string_view text = body.view();
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  CsvBody(text, limits_, options, stream, rules, fields_, out).read(options.header);
}

}  // namespace millrace::format
