// Parameters that are lists, as in x = ANY($1). The parser makes a subquery over unnest($1) of it,
// in which nothing tells the type of $1. Thread: any, values only. Errors: none; what has another
// form stays as it is.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <vector>

namespace millrace::sql {

/// Makes x = $1 of each x = ANY($1) in the tree: the type that $1 has there is that of an element.
/// Gives the indices of these parameters, from 0.
std::vector<std::size_t> compare_with_elements(boost::json::value& tree);

}  // namespace millrace::sql
