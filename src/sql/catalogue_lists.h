// Lists of OIDs in SELECTs about the catalogue. To clients they are oid[], which asyncpg insists
// on, and as columns of the answer oidvector and int2vector, which are written '1 2'. Thread: any,
// values only. Errors: those of catalogue_nodes.h.
#pragma once

#include <boost/json.hpp>

namespace millrace::sql {

/// $1::oid[], of which the tree keeps BIGINT[], as UINTEGER[]: the wire knows that as oid[].
void take_oid_list(boost::json::object& cast);
/// The same of array_agg() over a column of OIDs.
void give_oid_list(boost::json::value& call);
/// pg_index.indkey and its like as the columns of the answer.
void write_vectors(boost::json::value& query);

}  // namespace millrace::sql
