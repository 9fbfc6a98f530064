// Makes SELECTs about PostgreSQL's catalogue into SELECTs over relations and macros of ours, before
// they are checked: `pg_catalog.pg_class` becomes the relation "pg_catalog.pg_class", in the same
// way those of information_schema, public and millrace; functions of PostgreSQL become macros
// (catalogue_functions.h); casts to regclass and its like become calls; what the parser or the
// engine does not have (OPERATOR(), COLLATE "default", '{a,b}' as an array) becomes what it has.
// Nothing here is trusted: check_select() sees the result and decides. Thread: any, values only.
// Errors: kInternal for what is no tree; what is not understood stays as it is.
#pragma once

#include <boost/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::sql {

/// The text with OPERATOR(pg_catalog.~) as ~ and names of built-in types without pg_catalog: as
/// long as before, so that places in it stay. The text itself where it does not name pg_catalog.
[[nodiscard]] std::string without_postgres_spelling(std::string_view select);

struct CatalogueUse {
  /// Names of macros that the tree calls: catalogue_macro() makes them.
  std::set<std::string> macros;
  /// Something of it was PostgreSQL's, so that its other customs hold too: the names of columns
  /// without AS, ~ that looks for a part, 7 / 2 = 3.
  bool postgres = false;
};

/// Of the tree of a SELECT (sql/syntax.h); once more, it changes nothing more. With `names` the
/// columns of the answer are called as PostgreSQL calls them even where nothing else is its.
Result<CatalogueUse> rewrite_catalogue(boost::json::object& statement, bool names = false);

}  // namespace millrace::sql
