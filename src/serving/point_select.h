// SELECT columns FROM view WHERE key = value [AND key = value ...], where key IN (...) and key =
// ANY
// (...) may stand in the place of an equality: recognised in the syntax tree, and answered by the
// view's index without a worker process. Recognising is
// strict: what is not exactly of this form runs in a worker, which gives the same rows. Thread: any
// after make(), values only. Errors: none of its own.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/stream.h"
#include "speed/speed_layer.h"
#include "speed/view_state.h"

namespace millrace::serving {

class PointSelect {
 public:
  /// null where the tree is of another form. `given`: types of parameters that the client says.
  static std::shared_ptr<const PointSelect> make(const boost::json::object& tree,
                                                 const speed::SpeedLayer& speed,
                                                 std::span<const std::optional<Type>> given);

  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }
  [[nodiscard]] const std::vector<Type>& parameters() const { return parameters_; }
  [[nodiscard]] const std::string& view_name() const { return view_name_; }
  /// Whether it was made for this view.
  [[nodiscard]] bool is_for(const std::shared_ptr<speed::ViewState>& view) const {
    return view != nullptr && !view_.owner_before(view) && !view.owner_before(view_);
  }

  /// The encoded keys, each once; nullopt where a value is not in the plain form of its type, which
  /// a worker may still read.
  [[nodiscard]] std::optional<std::vector<std::string>> keys(
      std::span<const std::optional<std::string>> values) const;
  /// The selected columns of rows of the view.
  [[nodiscard]] std::shared_ptr<const ColumnBatch> project(
      std::shared_ptr<const ColumnBatch> rows) const;

 private:
  struct Operand {
    std::optional<std::size_t> parameter;
    std::string text;   // of a constant
    bool list = false;  // of values, each of which the key may be
  };
  class Maker;

  std::weak_ptr<speed::ViewState> view_;
  std::string view_name_;
  std::vector<Column> columns_;
  std::vector<Type> parameters_;
  std::vector<std::uint32_t> outputs_;  // of the view, one for each of columns_
  bool all_outputs_ = false;            // in their order
  std::vector<Type> key_types_;
  [[nodiscard]] bool encode(std::size_t key, std::string_view text,
                            std::vector<std::string>& out) const;
  [[nodiscard]] bool encode_operand(std::size_t key, const Operand& operand,
                                    std::span<const std::optional<std::string>> values,
                                    std::vector<std::string>& out) const;

  /// For each key the values that it may have.
  std::vector<std::vector<Operand>> operands_;
};

}  // namespace millrace::serving
