// The functions that text of a user may call, grouped; taken by hand from duckdb_functions() of
// DuckDB 1.5.6. What is not here is refused. Never on it: what reads or writes a file or setting,
// runs SQL out of a string, shows the engine from inside (duckdb_*, pragma_*, stats), changes state
// (nextval, enable_logging, checkpoint, setseed, write_log), sleeps, or names a type at run time.
#include "sql/allow_list_functions.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ascii_case.h"
#include "sql/suggestion.h"

namespace millrace::sql {
namespace {

struct Group {
  Use use;
  std::string_view names;  // with blanks between
};

constexpr auto kGroups = std::to_array<Group>({
    // --- deterministic, output bounded by the input: in views too ---
    // operators of numbers, bits and strings
    {Use::kView,
     "+ - * / // % ** ^ & | ~ << >> @ !__postfix add subtract multiply divide mod xor || ^@"},
    // patterns: LIKE, ILIKE, GLOB and their negations
    {Use::kView,
     "~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape "
     "regexp_full_match regexp_matches regexp_extract regexp_extract_all regexp_replace "
     "regexp_split_to_array regexp_escape string_split_regex str_split_regex"},
    // numbers
    {Use::kView,
     "abs sign signbit ceil ceiling floor round round_even trunc even sqrt cbrt exp ln log log10 "
     "log2 "
     "pow power gamma lgamma factorial gcd greatest_common_divisor lcm least_common_multiple fdiv "
     "fmod nextafter isnan isinf isfinite pi degrees radians sin cos tan cot asin acos atan atan2 "
     "sinh "
     "cosh tanh asinh acosh atanh greatest least bit_count"},
    // strings
    {Use::kView,
     "lower lcase upper ucase length len char_length character_length length_grapheme strlen "
     "bit_length octet_length substring substr substring_grapheme overlay left right left_grapheme "
     "right_grapheme trim ltrim rtrim replace translate reverse concat concat_ws contains "
     "starts_with "
     "ends_with prefix suffix instr position strpos split_part split str_split string_split "
     "string_to_array ascii ord unicode chr strip_accents nfc_normalize levenshtein editdist3 "
     "damerau_levenshtein hamming mismatches jaccard jaro_similarity jaro_winkler_similarity "
     "url_encode url_decode parse_filename parse_dirname parse_dirpath parse_path format_bytes "
     "formatreadablesize formatreadabledecimalsize parse_formatted_bytes"},
    // bytes and hashes that are the same in every release
    {Use::kView,
     "encode decode base64 to_base64 from_base64 hex to_hex unhex from_hex bin to_binary unbin "
     "from_binary to_base md5 md5_number md5_number_lower md5_number_upper sha1 sha256"},
    // dates and times; age() takes two arguments in a view
    {Use::kView,
     "date_part datepart date_trunc datetrunc date_diff datediff date_sub datesub date_add age "
     "year "
     "month day hour minute second millisecond microsecond nanosecond quarter week weekofyear "
     "weekday "
     "dayofweek isodow dayofmonth dayofyear dayname monthname isoyear yearweek decade century "
     "millennium era julian last_day days_in_month epoch epoch_ms epoch_us epoch_ns make_date "
     "make_time "
     "make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz strftime strptime "
     "try_strptime "
     "time_bucket timezone timezone_hour timezone_minute to_timestamp to_microseconds "
     "to_milliseconds "
     "to_seconds to_minutes to_hours to_days to_weeks to_months to_quarters to_years to_decades "
     "to_centuries to_millennia normalized_interval"},
    // conditions and types
    {Use::kView, "nullif if ifnull coalesce switch constant_or_null typeof pg_typeof"},
    // lists, structs, maps, JSON: parts of a value, and small values of given parts
    {Use::kView,
     "list_value list_pack list_extract list_element array_extract array_value list_contains "
     "list_has "
     "array_contains array_has list_position list_indexof array_position array_indexof "
     "array_length "
     "list_slice array_slice list_distinct array_distinct list_unique array_unique list_sort "
     "array_sort "
     "list_reverse_sort array_reverse_sort list_reverse array_reverse array_to_string list_concat "
     "list_cat array_concat array_cat list_append array_append array_push_back list_prepend "
     "array_prepend array_push_front array_pop_back array_pop_front list_has_any array_has_any "
     "list_has_all array_has_all list_intersect array_intersect && @> <@ list_where array_where "
     "list_select array_select list_zip array_zip flatten list_filter array_filter filter "
     "list_transform array_transform list_apply array_apply apply list_sum list_min list_max "
     "list_count "
     "list_bool_and list_bool_or list_first list_last row struct_pack struct_extract "
     "struct_extract_at "
     "struct_insert struct_update struct_concat struct_keys struct_values struct_has "
     "struct_contains "
     "struct_position struct_indexof element_at map map_extract map_extract_value map_keys "
     "map_values "
     "map_entries map_from_entries map_contains map_contains_entry map_contains_value map_concat "
     "cardinality union_value union_extract union_tag uuid_extract_timestamp uuid_extract_version"},
    {Use::kView,
     "-> ->> json json_extract json_extract_path json_extract_string json_extract_path_text "
     "json_value "
     "json_exists json_type json_valid json_array_length json_keys json_contains json_array "
     "json_object "
     "json_quote json_merge_patch json_pretty json_structure json_transform from_json "
     "json_transform_strict from_json_strict to_json array_to_json row_to_json"},
    // aggregates: the compiler of views says which of them have a state that can be merged
    {Use::kView,
     "count count_star count_if countif sum avg mean min max first first_value last last_value "
     "any_value "
     "arbitrary arg_min argmin min_by arg_max argmax max_by arg_min_null arg_max_null "
     "arg_min_nulls_last "
     "arg_max_nulls_last bit_and bit_or bit_xor bool_and bool_or product geomean geometric_mean "
     "stddev stddev_pop stddev_samp var_pop var_samp variance covar_pop covar_samp corr regr_avgx "
     "regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy skewness "
     "kurtosis kurtosis_pop sem entropy median mode mad quantile quantile_cont quantile_disc list "
     "array_agg string_agg group_concat listagg histogram histogram_exact bitstring_agg fsum "
     "kahan_sum "
     "sumkahan favg sum_no_overflow weighted_avg wavg json_group_array json_group_object "
     "approx_count_distinct approx_quantile approx_top_k grouping grouping_id"},
    // ours: windows and aggregates that the compiler of views knows
    {Use::kView, "hop session top_k map_agg"},

    // --- for SELECTs in the worker process only ---
    // the time of the query, and chance
    {Use::kAdHoc,
     "now current_date current_timestamp get_current_timestamp get_current_time current_localtime "
     "current_localtimestamp transaction_timestamp today ago random uuid uuidv4 uuidv7 "
     "gen_random_uuid"},
    // output not bounded by the input, or as long as a number says
    {Use::kAdHoc,
     "repeat lpad rpad printf format bar range generate_series generate_subscripts list_resize "
     "array_resize bitstring unnest regexp_split_to_table equi_width_bins error"},
    // what may change with a release of the engine, or is an estimate
    {Use::kAdHoc,
     "hash reservoir_quantile "
     "list_approx_count_distinct "
     "json_group_structure histogram_values create_sort_key enum_code enum_first enum_last "
     "enum_range "
     "enum_range_boundary get_bit set_bit bit_position is_histogram_other_bin"},
    // folds over lists, by lambda or by the name of an aggregate
    {Use::kAdHoc,
     "list_reduce array_reduce reduce list_aggregate list_aggr array_aggregate array_aggr "
     "aggregate "
     "list_grade_up array_grade_up grade_up list_any_value list_avg list_bit_and list_bit_or "
     "list_bit_xor list_entropy list_histogram list_kurtosis list_kurtosis_pop list_mad "
     "list_median "
     "list_mode list_product list_sem list_skewness list_stddev_pop list_stddev_samp "
     "list_string_agg "
     "list_var_pop list_var_samp"},
    // vectors
    {Use::kAdHoc,
     "list_distance array_distance <-> list_cosine_distance array_cosine_distance <=> "
     "list_cosine_similarity array_cosine_similarity list_dot_product list_inner_product "
     "array_dot_product array_inner_product list_negative_dot_product list_negative_inner_product "
     "array_negative_dot_product array_negative_inner_product array_cross_product"},
    // windows
    {Use::kAdHoc,
     "row_number rank dense_rank rank_dense percent_rank cume_dist ntile lag lead nth_value fill"},
});

constexpr auto kTableFunctions = std::to_array<std::string_view>(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "regexp_split_to_table"});

const std::unordered_map<std::string_view, Use>& functions() {
  static const auto* const all = [] {
    auto* made = new std::unordered_map<std::string_view, Use>();  // lives as long as the program
    for (const Group& group : kGroups) {
      std::string_view rest = group.names;
      while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        if (end > 0) made->emplace(rest.substr(0, end), group.use);
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
    return made;
  }();
  return *all;
}

}  // namespace

bool is_allowed_function(std::string_view name, Use use) {
  const auto found = functions().find(lower_name(name));
  if (found == functions().end()) return false;
  return use == Use::kAdHoc || found->second == Use::kView;
}

bool is_allowed_table_function(std::string_view name) {
  const std::string lower = lower_name(name);
  return std::ranges::find(kTableFunctions, lower) != kTableFunctions.end();
}

std::string_view closest_function(std::string_view name, Use use) {
  std::vector<std::string_view> names;
  for (const auto& [known, needs] : functions()) {
    if (use == Use::kAdHoc || needs == Use::kView) names.push_back(known);
  }
  std::ranges::sort(names);  // of two that are as near, always the same
  return closest(name, names);
}

}  // namespace millrace::sql
