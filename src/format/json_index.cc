#include "format/json_index.h"

#include <simdjson.h>

#include <algorithm>

namespace millrace::format {

namespace {
// simdjson has room for 9 entries more than the text has bytes.
constexpr std::size_t kEntriesBehind = 3;
constexpr std::size_t kDepthUnused = 1;  // stage 1 knows no depth
constexpr std::uint32_t kNoTokens[kEntriesBehind] = {};
}  // namespace

struct JsonIndex::Stage {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
};

JsonIndex::JsonIndex() : stage_(std::make_unique<Stage>()), tokens_(kNoTokens) {}
JsonIndex::~JsonIndex() = default;

JsonIndex::Fault JsonIndex::build(std::string_view text) {
  count_ = 0;
  tokens_ = kNoTokens;
  if (text.empty()) return Fault::kNone;
  if (text.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES) return Fault::kTooLarge;
  auto& parser = stage_->parser;
  if (parser == nullptr || parser->capacity() < text.size()) {
    const std::size_t capacity = std::max<std::size_t>(text.size() + text.size() / 4, 4096);
    parser.reset();
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(
            capacity, kDepthUnused, parser) != simdjson::SUCCESS) {
      return Fault::kTooLarge;
    }
  }
  const auto error = parser->stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                    simdjson::stage1_mode::regular);
  switch (error) {
    case simdjson::SUCCESS:
    case simdjson::EMPTY:
      break;
    case simdjson::UTF8_ERROR:
      return Fault::kBadUtf8;
    case simdjson::UNESCAPED_CHARS:
      return Fault::kControlCharacter;
    case simdjson::UNCLOSED_STRING:
      return Fault::kUnclosedString;
    default:
      return Fault::kTooLarge;
  }
  count_ = error == simdjson::EMPTY ? 0 : parser->n_structural_indexes;
  tokens_ = parser->structural_indexes.get();
  std::fill_n(parser->structural_indexes.get() + count_, kEntriesBehind,
              static_cast<std::uint32_t>(text.size()));
  return Fault::kNone;
}

void JsonIndex::shrink(std::size_t bytes_max) {
  if (stage_->parser == nullptr || stage_->parser->capacity() * sizeof(std::uint32_t) <= bytes_max)
    return;
  stage_->parser.reset();
  tokens_ = kNoTokens;
  count_ = 0;
}

}  // namespace millrace::format
