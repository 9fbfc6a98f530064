// The relations of information_schema, as postgres_relations.h says, and how texts of columns are
// read.
#include <array>

#include "base/check.h"
#include "serving/postgres_relations.h"

namespace millrace::serving {
namespace {

constexpr auto kRelations = std::to_array<PostgresRelation>({
    {"information_schema._pg_foreign_data_wrappers", 13507, true,
     "oid:o fdwowner:o fdwoptions:T foreign_data_wrapper_catalog:t foreign_data_wrapper_name:t "
     "authorization_identifier:t foreign_data_wrapper_language:t"},
    {"information_schema._pg_foreign_servers", 13519, true,
     "oid:o srvoptions:T foreign_server_catalog:t foreign_server_name:t "
     "foreign_data_wrapper_catalog:t foreign_data_wrapper_name:t foreign_server_type:t "
     "foreign_server_version:t authorization_identifier:t"},
    {"information_schema._pg_foreign_table_columns", 13498, true,
     "nspname:t relname:t attname:t attfdwoptions:T"},
    {"information_schema._pg_foreign_tables", 13532, true,
     "foreign_table_catalog:t foreign_table_schema:t foreign_table_name:t ftoptions:T "
     "foreign_server_catalog:t foreign_server_name:t authorization_identifier:t"},
    {"information_schema._pg_user_mappings", 13545, true,
     "oid:o umoptions:T umuser:o authorization_identifier:t foreign_server_catalog:t "
     "foreign_server_name:t srvowner:t"},
    {"information_schema.administrable_role_authorizations", 13241, true,
     "grantee:t role_name:t is_grantable:t"},
    {"information_schema.applicable_roles", 13236, true, "grantee:t role_name:t is_grantable:t"},
    {"information_schema.attributes", 13245, true,
     "udt_catalog:t udt_schema:t udt_name:t attribute_name:t ordinal_position:i "
     "attribute_default:t is_nullable:t data_type:t character_maximum_length:i "
     "character_octet_length:i character_set_catalog:t character_set_schema:t "
     "character_set_name:t collation_catalog:t collation_schema:t collation_name:t "
     "numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i "
     "interval_type:t interval_precision:i attribute_udt_catalog:t attribute_udt_schema:t "
     "attribute_udt_name:t scope_catalog:t scope_schema:t scope_name:t maximum_cardinality:i "
     "dtd_identifier:t is_derived_reference_attribute:t"},
    {"information_schema.character_sets", 13250, true,
     "character_set_catalog:t character_set_schema:t character_set_name:t "
     "character_repertoire:t form_of_use:t default_collate_catalog:t default_collate_schema:t "
     "default_collate_name:t"},
    {"information_schema.check_constraint_routine_usage", 13255, true,
     "constraint_catalog:t constraint_schema:t constraint_name:t specific_catalog:t "
     "specific_schema:t specific_name:t"},
    {"information_schema.check_constraints", 13260, true,
     "constraint_catalog:t constraint_schema:t constraint_name:t check_clause:t"},
    {"information_schema.collation_character_set_applicability", 13270, true,
     "collation_catalog:t collation_schema:t collation_name:t character_set_catalog:t "
     "character_set_schema:t character_set_name:t"},
    {"information_schema.collations", 13265, true,
     "collation_catalog:t collation_schema:t collation_name:t pad_attribute:t"},
    {"information_schema.column_column_usage", 13275, true,
     "table_catalog:t table_schema:t table_name:t column_name:t dependent_column:t"},
    {"information_schema.column_domain_usage", 13280, true,
     "domain_catalog:t domain_schema:t domain_name:t table_catalog:t table_schema:t "
     "table_name:t column_name:t"},
    {"information_schema.column_options", 13503, true,
     "table_catalog:t table_schema:t table_name:t column_name:t option_name:t option_value:t"},
    {"information_schema.column_privileges", 13285, true,
     "grantor:t grantee:t table_catalog:t table_schema:t table_name:t column_name:t "
     "privilege_type:t is_grantable:t"},
    {"information_schema.column_udt_usage", 13290, true,
     "udt_catalog:t udt_schema:t udt_name:t table_catalog:t table_schema:t table_name:t "
     "column_name:t"},
    {"information_schema.columns", 13295, true,
     "table_catalog:t table_schema:t table_name:t column_name:t ordinal_position:i "
     "column_default:t is_nullable:t data_type:t character_maximum_length:i "
     "character_octet_length:i numeric_precision:i numeric_precision_radix:i numeric_scale:i "
     "datetime_precision:i interval_type:t interval_precision:i character_set_catalog:t "
     "character_set_schema:t character_set_name:t collation_catalog:t collation_schema:t "
     "collation_name:t domain_catalog:t domain_schema:t domain_name:t udt_catalog:t "
     "udt_schema:t udt_name:t scope_catalog:t scope_schema:t scope_name:t "
     "maximum_cardinality:i dtd_identifier:t is_self_referencing:t is_identity:t "
     "identity_generation:t identity_start:t identity_increment:t identity_maximum:t "
     "identity_minimum:t identity_cycle:t is_generated:t generation_expression:t "
     "is_updatable:t"},
    {"information_schema.constraint_column_usage", 13300, true,
     "table_catalog:t table_schema:t table_name:t column_name:t constraint_catalog:t "
     "constraint_schema:t constraint_name:t"},
    {"information_schema.constraint_table_usage", 13305, true,
     "table_catalog:t table_schema:t table_name:t constraint_catalog:t constraint_schema:t "
     "constraint_name:t"},
    {"information_schema.data_type_privileges", 13488, true,
     "object_catalog:t object_schema:t object_name:t object_type:t dtd_identifier:t"},
    {"information_schema.domain_constraints", 13310, true,
     "constraint_catalog:t constraint_schema:t constraint_name:t domain_catalog:t "
     "domain_schema:t domain_name:t is_deferrable:t initially_deferred:t"},
    {"information_schema.domain_udt_usage", 13315, true,
     "udt_catalog:t udt_schema:t udt_name:t domain_catalog:t domain_schema:t domain_name:t"},
    {"information_schema.domains", 13320, true,
     "domain_catalog:t domain_schema:t domain_name:t data_type:t character_maximum_length:i "
     "character_octet_length:i character_set_catalog:t character_set_schema:t "
     "character_set_name:t collation_catalog:t collation_schema:t collation_name:t "
     "numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i "
     "interval_type:t interval_precision:i domain_default:t udt_catalog:t udt_schema:t "
     "udt_name:t scope_catalog:t scope_schema:t scope_name:t maximum_cardinality:i "
     "dtd_identifier:t"},
    {"information_schema.element_types", 13493, true,
     "object_catalog:t object_schema:t object_name:t object_type:t "
     "collection_type_identifier:t data_type:t character_maximum_length:i "
     "character_octet_length:i character_set_catalog:t character_set_schema:t "
     "character_set_name:t collation_catalog:t collation_schema:t collation_name:t "
     "numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i "
     "interval_type:t interval_precision:i domain_default:t udt_catalog:t udt_schema:t "
     "udt_name:t scope_catalog:t scope_schema:t scope_name:t maximum_cardinality:i "
     "dtd_identifier:t"},
    {"information_schema.enabled_roles", 13325, true, "role_name:t"},
    {"information_schema.foreign_data_wrapper_options", 13511, true,
     "foreign_data_wrapper_catalog:t foreign_data_wrapper_name:t option_name:t option_value:t"},
    {"information_schema.foreign_data_wrappers", 13515, true,
     "foreign_data_wrapper_catalog:t foreign_data_wrapper_name:t authorization_identifier:t "
     "library_name:t foreign_data_wrapper_language:t"},
    {"information_schema.foreign_server_options", 13524, true,
     "foreign_server_catalog:t foreign_server_name:t option_name:t option_value:t"},
    {"information_schema.foreign_servers", 13528, true,
     "foreign_server_catalog:t foreign_server_name:t foreign_data_wrapper_catalog:t "
     "foreign_data_wrapper_name:t foreign_server_type:t foreign_server_version:t "
     "authorization_identifier:t"},
    {"information_schema.foreign_table_options", 13537, true,
     "foreign_table_catalog:t foreign_table_schema:t foreign_table_name:t option_name:t "
     "option_value:t"},
    {"information_schema.foreign_tables", 13541, true,
     "foreign_table_catalog:t foreign_table_schema:t foreign_table_name:t "
     "foreign_server_catalog:t foreign_server_name:t"},
    {"information_schema.information_schema_catalog_name", 13227, true, "catalog_name:t"},
    {"information_schema.key_column_usage", 13329, true,
     "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t "
     "table_schema:t table_name:t column_name:t ordinal_position:i "
     "position_in_unique_constraint:i"},
    {"information_schema.parameters", 13334, true,
     "specific_catalog:t specific_schema:t specific_name:t ordinal_position:i parameter_mode:t "
     "is_result:t as_locator:t parameter_name:t data_type:t character_maximum_length:i "
     "character_octet_length:i character_set_catalog:t character_set_schema:t "
     "character_set_name:t collation_catalog:t collation_schema:t collation_name:t "
     "numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i "
     "interval_type:t interval_precision:i udt_catalog:t udt_schema:t udt_name:t "
     "scope_catalog:t scope_schema:t scope_name:t maximum_cardinality:i dtd_identifier:t "
     "parameter_default:t"},
    {"information_schema.referential_constraints", 13339, true,
     "constraint_catalog:t constraint_schema:t constraint_name:t unique_constraint_catalog:t "
     "unique_constraint_schema:t unique_constraint_name:t match_option:t update_rule:t "
     "delete_rule:t"},
    {"information_schema.role_column_grants", 13344, true,
     "grantor:t grantee:t table_catalog:t table_schema:t table_name:t column_name:t "
     "privilege_type:t is_grantable:t"},
    {"information_schema.role_routine_grants", 13358, true,
     "grantor:t grantee:t specific_catalog:t specific_schema:t specific_name:t "
     "routine_catalog:t routine_schema:t routine_name:t privilege_type:t is_grantable:t"},
    {"information_schema.role_table_grants", 13421, true,
     "grantor:t grantee:t table_catalog:t table_schema:t table_name:t privilege_type:t "
     "is_grantable:t with_hierarchy:t"},
    {"information_schema.role_udt_grants", 13450, true,
     "grantor:t grantee:t udt_catalog:t udt_schema:t udt_name:t privilege_type:t "
     "is_grantable:t"},
    {"information_schema.role_usage_grants", 13459, true,
     "grantor:t grantee:t object_catalog:t object_schema:t object_name:t object_type:t "
     "privilege_type:t is_grantable:t"},
    {"information_schema.routine_column_usage", 13348, true,
     "specific_catalog:t specific_schema:t specific_name:t routine_catalog:t routine_schema:t "
     "routine_name:t table_catalog:t table_schema:t table_name:t column_name:t"},
    {"information_schema.routine_privileges", 13353, true,
     "grantor:t grantee:t specific_catalog:t specific_schema:t specific_name:t "
     "routine_catalog:t routine_schema:t routine_name:t privilege_type:t is_grantable:t"},
    {"information_schema.routine_routine_usage", 13362, true,
     "specific_catalog:t specific_schema:t specific_name:t routine_catalog:t routine_schema:t "
     "routine_name:t"},
    {"information_schema.routine_sequence_usage", 13367, true,
     "specific_catalog:t specific_schema:t specific_name:t routine_catalog:t routine_schema:t "
     "routine_name:t sequence_catalog:t sequence_schema:t sequence_name:t"},
    {"information_schema.routine_table_usage", 13372, true,
     "specific_catalog:t specific_schema:t specific_name:t routine_catalog:t routine_schema:t "
     "routine_name:t table_catalog:t table_schema:t table_name:t"},
    {"information_schema.routines", 13377, true,
     "specific_catalog:t specific_schema:t specific_name:t routine_catalog:t routine_schema:t "
     "routine_name:t routine_type:t module_catalog:t module_schema:t module_name:t "
     "udt_catalog:t udt_schema:t udt_name:t data_type:t character_maximum_length:i "
     "character_octet_length:i character_set_catalog:t character_set_schema:t "
     "character_set_name:t collation_catalog:t collation_schema:t collation_name:t "
     "numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i "
     "interval_type:t interval_precision:i type_udt_catalog:t type_udt_schema:t "
     "type_udt_name:t scope_catalog:t scope_schema:t scope_name:t maximum_cardinality:i "
     "dtd_identifier:t routine_body:t routine_definition:t external_name:t external_language:t "
     "parameter_style:t is_deterministic:t sql_data_access:t is_null_call:t sql_path:t "
     "schema_level_routine:t max_dynamic_result_sets:i is_user_defined_cast:t "
     "is_implicitly_invocable:t security_type:t to_sql_specific_catalog:t "
     "to_sql_specific_schema:t to_sql_specific_name:t as_locator:t created:z last_altered:z "
     "new_savepoint_level:t is_udt_dependent:t result_cast_from_data_type:t "
     "result_cast_as_locator:t result_cast_char_max_length:i result_cast_char_octet_length:i "
     "result_cast_char_set_catalog:t result_cast_char_set_schema:t result_cast_char_set_name:t "
     "result_cast_collation_catalog:t result_cast_collation_schema:t "
     "result_cast_collation_name:t result_cast_numeric_precision:i "
     "result_cast_numeric_precision_radix:i result_cast_numeric_scale:i "
     "result_cast_datetime_precision:i result_cast_interval_type:t "
     "result_cast_interval_precision:i result_cast_type_udt_catalog:t "
     "result_cast_type_udt_schema:t result_cast_type_udt_name:t result_cast_scope_catalog:t "
     "result_cast_scope_schema:t result_cast_scope_name:t result_cast_maximum_cardinality:i "
     "result_cast_dtd_identifier:t"},
    {"information_schema.schemata", 13382, true,
     "catalog_name:t schema_name:t schema_owner:t default_character_set_catalog:t "
     "default_character_set_schema:t default_character_set_name:t sql_path:t"},
    {"information_schema.sequences", 13386, true,
     "sequence_catalog:t sequence_schema:t sequence_name:t data_type:t numeric_precision:i "
     "numeric_precision_radix:i numeric_scale:i start_value:t minimum_value:t maximum_value:t "
     "increment:t cycle_option:t"},
    {"information_schema.sql_features", 13391, false,
     "feature_id:t feature_name:t sub_feature_id:t sub_feature_name:t is_supported:t "
     "is_verified_by:t comments:t"},
    {"information_schema.sql_implementation_info", 13396, false,
     "implementation_info_id:t implementation_info_name:t integer_value:i character_value:t "
     "comments:t"},
    {"information_schema.sql_parts", 13401, false,
     "feature_id:t feature_name:t is_supported:t is_verified_by:t comments:t"},
    {"information_schema.sql_sizing", 13406, false,
     "sizing_id:i sizing_name:t supported_value:i comments:t"},
    {"information_schema.table_constraints", 13411, true,
     "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t "
     "table_schema:t table_name:t constraint_type:t is_deferrable:t initially_deferred:t "
     "enforced:t nulls_distinct:t"},
    {"information_schema.table_privileges", 13416, true,
     "grantor:t grantee:t table_catalog:t table_schema:t table_name:t privilege_type:t "
     "is_grantable:t with_hierarchy:t"},
    {"information_schema.tables", 13425, true,
     "table_catalog:t table_schema:t table_name:t table_type:t self_referencing_column_name:t "
     "reference_generation:t user_defined_type_catalog:t user_defined_type_schema:t "
     "user_defined_type_name:t is_insertable_into:t is_typed:t commit_action:t"},
    {"information_schema.transforms", 13430, true,
     "udt_catalog:t udt_schema:t udt_name:t specific_catalog:t specific_schema:t "
     "specific_name:t group_name:t transform_type:t"},
    {"information_schema.triggered_update_columns", 13435, true,
     "trigger_catalog:t trigger_schema:t trigger_name:t event_object_catalog:t "
     "event_object_schema:t event_object_table:t event_object_column:t"},
    {"information_schema.triggers", 13440, true,
     "trigger_catalog:t trigger_schema:t trigger_name:t event_manipulation:t "
     "event_object_catalog:t event_object_schema:t event_object_table:t action_order:i "
     "action_condition:t action_statement:t action_orientation:t action_timing:t "
     "action_reference_old_table:t action_reference_new_table:t action_reference_old_row:t "
     "action_reference_new_row:t created:z"},
    {"information_schema.udt_privileges", 13445, true,
     "grantor:t grantee:t udt_catalog:t udt_schema:t udt_name:t privilege_type:t "
     "is_grantable:t"},
    {"information_schema.usage_privileges", 13454, true,
     "grantor:t grantee:t object_catalog:t object_schema:t object_name:t object_type:t "
     "privilege_type:t is_grantable:t"},
    {"information_schema.user_defined_types", 13463, true,
     "user_defined_type_catalog:t user_defined_type_schema:t user_defined_type_name:t "
     "user_defined_type_category:t is_instantiable:t is_final:t ordering_form:t "
     "ordering_category:t ordering_routine_catalog:t ordering_routine_schema:t "
     "ordering_routine_name:t reference_type:t data_type:t character_maximum_length:i "
     "character_octet_length:i character_set_catalog:t character_set_schema:t "
     "character_set_name:t collation_catalog:t collation_schema:t collation_name:t "
     "numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i "
     "interval_type:t interval_precision:i source_dtd_identifier:t ref_dtd_identifier:t"},
    {"information_schema.user_mapping_options", 13550, true,
     "authorization_identifier:t foreign_server_catalog:t foreign_server_name:t option_name:t "
     "option_value:t"},
    {"information_schema.user_mappings", 13555, true,
     "authorization_identifier:t foreign_server_catalog:t foreign_server_name:t"},
    {"information_schema.view_column_usage", 13468, true,
     "view_catalog:t view_schema:t view_name:t table_catalog:t table_schema:t table_name:t "
     "column_name:t"},
    {"information_schema.view_routine_usage", 13473, true,
     "table_catalog:t table_schema:t table_name:t specific_catalog:t specific_schema:t "
     "specific_name:t"},
    {"information_schema.view_table_usage", 13478, true,
     "view_catalog:t view_schema:t view_name:t table_catalog:t table_schema:t table_name:t"},
    {"information_schema.views", 13483, true,
     "table_catalog:t table_schema:t table_name:t view_definition:t check_option:t "
     "is_updatable:t is_insertable_into:t is_trigger_updatable:t is_trigger_deletable:t "
     "is_trigger_insertable_into:t"},
});

Type type_of(char letter) {
  switch (letter) {
    case 'b':
      return {TypeKind::kBoolean};
    case 's':
      return {TypeKind::kSmallInt};
    case 'i':
      return {TypeKind::kInteger};
    case 'l':
    case 'o':  // an OID: BIGINT, as the parser has it
      return {TypeKind::kBigInt};
    case 'f':
      return {TypeKind::kFloat};
    case 'd':
      return {TypeKind::kDouble};
    case 'z':
      return {TypeKind::kTimestampTz};
    case 'v':
      return {TypeKind::kInterval};
    case 'y':
      return {TypeKind::kBlob};
    case 'T':
      return Type::list({TypeKind::kVarchar});
    case 'S':
      return Type::list({TypeKind::kSmallInt});
    case 'L':
      return Type::list({TypeKind::kBigInt});
    case 'F':
      return Type::list({TypeKind::kFloat});
    case 'B':
      return Type::list({TypeKind::kBoolean});
    case 'D':
      return Type::list({TypeKind::kDouble});
    default:
      MR_CHECK(letter == 't', "a system relation has a column of the unknown type {}", letter);
      return {TypeKind::kVarchar};
  }
}

}  // namespace

std::span<const PostgresRelation> information_schema_relations() { return kRelations; }

std::vector<SystemColumn> parse_system_columns(std::string_view columns) {
  std::vector<SystemColumn> out;
  while (!columns.empty()) {
    const std::size_t end = std::min(columns.find(' '), columns.size());
    const std::string_view one = columns.substr(0, end);
    const std::size_t colon = one.find(':');
    out.push_back(
        {.column = {.name = std::string(one.substr(0, colon)), .type = type_of(one[colon + 1])},
         .not_null = one.ends_with('!')});
    columns.remove_prefix(std::min(end + 1, columns.size()));
  }
  return out;
}

}  // namespace millrace::serving
