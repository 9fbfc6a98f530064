// The functions of PostgreSQL that clients call about the catalogue, as macros over its relations
// (serving/system_relations.h gives their rows). A name has a dot in it, such as
// "pg_catalog.format_type", which no name in a user's statement gets by itself; who writes it in
// quotes calls the same macro. Each query makes those that it names, in its own connection. Thread:
// any, constants only. Errors: none. Invariant: a macro reads what `needs` and its macros name, and
// nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::sql {

/// What stands before the name of each.
inline constexpr std::string_view kCataloguePrefix = "pg_catalog.";

struct CatalogueFunction {
  std::string_view name;   // without prefix
  std::string_view text;   // of CREATE MACRO, behind the name
  std::string_view needs;  // relations and, marked by "()", other functions; with blanks between
};

/// The function of this name, without prefix; nullptr where there is none.
[[nodiscard]] const CatalogueFunction* find_catalogue_function(std::string_view name);
/// All of them, for pg_proc.
[[nodiscard]] std::vector<std::string_view> catalogue_function_names();
/// Whether it is the name of one with the prefix: then a query may call it.
[[nodiscard]] bool is_catalogue_function(std::string_view name);
/// Whether it gives rows, and no value.
[[nodiscard]] bool gives_rows(const CatalogueFunction& function);
/// The words that are values in SQL without parentheses, such as current_user.
[[nodiscard]] bool is_session_word(std::string_view name);

/// What makes the macro of a name: a function's with the prefix, or a session word.
[[nodiscard]] std::string catalogue_macro(std::string_view name);

}  // namespace millrace::sql
