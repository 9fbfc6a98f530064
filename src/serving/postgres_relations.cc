#include "serving/postgres_relations.h"

#include <array>

namespace millrace::serving {
namespace {

constexpr auto kRelations = std::to_array<PostgresRelation>({
    {"pg_catalog.pg_aggregate", 2600, false,
     "aggfnoid:t! aggkind:t! aggnumdirectargs:s! aggtransfn:t! aggfinalfn:t! aggcombinefn:t! "
     "aggserialfn:t! aggdeserialfn:t! aggmtransfn:t! aggminvtransfn:t! aggmfinalfn:t! "
     "aggfinalextra:b! aggmfinalextra:b! aggfinalmodify:t! aggmfinalmodify:t! aggsortop:o! "
     "aggtranstype:o! aggtransspace:i! aggmtranstype:o! aggmtransspace:i! agginitval:t "
     "aggminitval:t"},
    {"pg_catalog.pg_am", 2601, false, "oid:o! amname:t! amhandler:t! amtype:t!"},
    {"pg_catalog.pg_amop", 2602, false,
     "oid:o! amopfamily:o! amoplefttype:o! amoprighttype:o! amopstrategy:s! amoppurpose:t! "
     "amopopr:o! amopmethod:o! amopsortfamily:o!"},
    {"pg_catalog.pg_amproc", 2603, false,
     "oid:o! amprocfamily:o! amproclefttype:o! amprocrighttype:o! amprocnum:s! amproc:t!"},
    {"pg_catalog.pg_attrdef", 2604, false, "oid:o! adrelid:o! adnum:s! adbin:t!"},
    {"pg_catalog.pg_attribute", 1249, false,
     "attrelid:o! attname:t! atttypid:o! attstattarget:i! attlen:s! attnum:s! attndims:i! "
     "attcacheoff:i! atttypmod:i! attbyval:b! attalign:t! attstorage:t! attcompression:t! "
     "attnotnull:b! atthasdef:b! atthasmissing:b! attidentity:t! attgenerated:t! "
     "attisdropped:b! attislocal:b! attinhcount:i! attcollation:o! attacl:T attoptions:T "
     "attfdwoptions:T attmissingval:t"},
    {"pg_catalog.pg_auth_members", 1261, false, "roleid:o! member:o! grantor:o! admin_option:b!"},
    {"pg_catalog.pg_authid", 1260, false,
     "oid:o! rolname:t! rolsuper:b! rolinherit:b! rolcreaterole:b! rolcreatedb:b! "
     "rolcanlogin:b! rolreplication:b! rolbypassrls:b! rolconnlimit:i! rolpassword:t "
     "rolvaliduntil:z"},
    {"pg_catalog.pg_available_extension_versions", 12085, true,
     "name:t version:t installed:b superuser:b trusted:b relocatable:b schema:t requires:T "
     "comment:t"},
    {"pg_catalog.pg_available_extensions", 12081, true,
     "name:t default_version:t installed_version:t comment:t"},
    {"pg_catalog.pg_backend_memory_contexts", 12138, true,
     "name:t ident:t parent:t level:i total_bytes:l total_nblocks:l free_bytes:l free_chunks:l "
     "used_bytes:l"},
    {"pg_catalog.pg_cast", 2605, false,
     "oid:o! castsource:o! casttarget:o! castfunc:o! castcontext:t! castmethod:t!"},
    {"pg_catalog.pg_class", 1259, false,
     "oid:o! relname:t! relnamespace:o! reltype:o! reloftype:o! relowner:o! relam:o! "
     "relfilenode:o! reltablespace:o! relpages:i! reltuples:f! relallvisible:i! "
     "reltoastrelid:o! relhasindex:b! relisshared:b! relpersistence:t! relkind:t! relnatts:s! "
     "relchecks:s! relhasrules:b! relhastriggers:b! relhassubclass:b! relrowsecurity:b! "
     "relforcerowsecurity:b! relispopulated:b! relreplident:t! relispartition:b! relrewrite:o! "
     "relfrozenxid:o! relminmxid:o! relacl:T reloptions:T relpartbound:t"},
    {"pg_catalog.pg_collation", 3456, false,
     "oid:o! collname:t! collnamespace:o! collowner:o! collprovider:t! collisdeterministic:b! "
     "collencoding:i! collcollate:t collctype:t colliculocale:t collversion:t"},
    {"pg_catalog.pg_config", 12130, true, "name:t setting:t"},
    {"pg_catalog.pg_constraint", 2606, false,
     "oid:o! conname:t! connamespace:o! contype:t! condeferrable:b! condeferred:b! "
     "convalidated:b! conrelid:o! contypid:o! conindid:o! conparentid:o! confrelid:o! "
     "confupdtype:t! confdeltype:t! confmatchtype:t! conislocal:b! coninhcount:i! "
     "connoinherit:b! conkey:S confkey:S conpfeqop:L conppeqop:L conffeqop:L confdelsetcols:S "
     "conexclop:L conbin:t"},
    {"pg_catalog.pg_conversion", 2607, false,
     "oid:o! conname:t! connamespace:o! conowner:o! conforencoding:i! contoencoding:i! "
     "conproc:t! condefault:b!"},
    {"pg_catalog.pg_cursors", 12077, true,
     "name:t statement:t is_holdable:b is_binary:b is_scrollable:b creation_time:z"},
    {"pg_catalog.pg_database", 1262, false,
     "oid:o! datname:t! datdba:o! encoding:i! datlocprovider:t! datistemplate:b! "
     "datallowconn:b! datconnlimit:i! datfrozenxid:o! datminmxid:o! dattablespace:o! "
     "datcollate:t! datctype:t! daticulocale:t datcollversion:t datacl:T"},
    {"pg_catalog.pg_db_role_setting", 2964, false, "setdatabase:o! setrole:o! setconfig:T"},
    {"pg_catalog.pg_default_acl", 826, false,
     "oid:o! defaclrole:o! defaclnamespace:o! defaclobjtype:t! defaclacl:T!"},
    {"pg_catalog.pg_depend", 2608, false,
     "classid:o! objid:o! objsubid:i! refclassid:o! refobjid:o! refobjsubid:i! deptype:t!"},
    {"pg_catalog.pg_description", 2609, false, "objoid:o! classoid:o! objsubid:i! description:t!"},
    {"pg_catalog.pg_enum", 3501, false, "oid:o! enumtypid:o! enumsortorder:f! enumlabel:t!"},
    {"pg_catalog.pg_event_trigger", 3466, false,
     "oid:o! evtname:t! evtevent:t! evtowner:o! evtfoid:o! evtenabled:t! evttags:T"},
    {"pg_catalog.pg_extension", 3079, false,
     "oid:o! extname:t! extowner:o! extnamespace:o! extrelocatable:b! extversion:t! "
     "extconfig:L extcondition:T"},
    {"pg_catalog.pg_file_settings", 12110, true,
     "sourcefile:t sourceline:i seqno:i name:t setting:t applied:b error:t"},
    {"pg_catalog.pg_foreign_data_wrapper", 2328, false,
     "oid:o! fdwname:t! fdwowner:o! fdwhandler:o! fdwvalidator:o! fdwacl:T fdwoptions:T"},
    {"pg_catalog.pg_foreign_server", 1417, false,
     "oid:o! srvname:t! srvowner:o! srvfdw:o! srvtype:t srvversion:t srvacl:T srvoptions:T"},
    {"pg_catalog.pg_foreign_table", 3118, false, "ftrelid:o! ftserver:o! ftoptions:T"},
    {"pg_catalog.pg_group", 12010, true, "groname:t grosysid:o grolist:L"},
    {"pg_catalog.pg_hba_file_rules", 12114, true,
     "line_number:i type:t database:T user_name:T address:t netmask:t auth_method:t options:T "
     "error:t"},
    {"pg_catalog.pg_ident_file_mappings", 12118, true,
     "line_number:i map_name:t sys_name:t pg_username:t error:t"},
    {"pg_catalog.pg_index", 2610, false,
     "indexrelid:o! indrelid:o! indnatts:s! indnkeyatts:s! indisunique:b! "
     "indnullsnotdistinct:b! indisprimary:b! indisexclusion:b! indimmediate:b! "
     "indisclustered:b! indisvalid:b! indcheckxmin:b! indisready:b! indislive:b! "
     "indisreplident:b! indkey:S! indcollation:L! indclass:L! indoption:S! indexprs:t "
     "indpred:t"},
    {"pg_catalog.pg_indexes", 12043, true,
     "schemaname:t tablename:t indexname:t tablespace:t indexdef:t"},
    {"pg_catalog.pg_inherits", 2611, false,
     "inhrelid:o! inhparent:o! inhseqno:i! inhdetachpending:b!"},
    {"pg_catalog.pg_init_privs", 3394, false,
     "objoid:o! classoid:o! objsubid:i! privtype:t! initprivs:T!"},
    {"pg_catalog.pg_language", 2612, false,
     "oid:o! lanname:t! lanowner:o! lanispl:b! lanpltrusted:b! lanplcallfoid:o! laninline:o! "
     "lanvalidator:o! lanacl:T"},
    {"pg_catalog.pg_largeobject", 2613, false, "loid:o! pageno:i! data:y!"},
    {"pg_catalog.pg_largeobject_metadata", 2995, false, "oid:o! lomowner:o! lomacl:T"},
    {"pg_catalog.pg_locks", 12073, true,
     "locktype:t database:o relation:o page:i tuple:s virtualxid:t transactionid:o classid:o "
     "objid:o objsubid:s virtualtransaction:t pid:i mode:t granted:b fastpath:b waitstart:z"},
    {"pg_catalog.pg_matviews", 12038, true,
     "schemaname:t matviewname:t matviewowner:t tablespace:t hasindexes:b ispopulated:b "
     "definition:t"},
    {"pg_catalog.pg_namespace", 2615, false, "oid:o! nspname:t! nspowner:o! nspacl:T"},
    {"pg_catalog.pg_opclass", 2616, false,
     "oid:o! opcmethod:o! opcname:t! opcnamespace:o! opcowner:o! opcfamily:o! opcintype:o! "
     "opcdefault:b! opckeytype:o!"},
    {"pg_catalog.pg_operator", 2617, false,
     "oid:o! oprname:t! oprnamespace:o! oprowner:o! oprkind:t! oprcanmerge:b! oprcanhash:b! "
     "oprleft:o! oprright:o! oprresult:o! oprcom:o! oprnegate:o! oprcode:t! oprrest:t! "
     "oprjoin:t!"},
    {"pg_catalog.pg_opfamily", 2753, false,
     "oid:o! opfmethod:o! opfname:t! opfnamespace:o! opfowner:o!"},
    {"pg_catalog.pg_parameter_acl", 6243, false, "oid:o! parname:t! paracl:T"},
    {"pg_catalog.pg_partitioned_table", 3350, false,
     "partrelid:o! partstrat:t! partnatts:s! partdefid:o! partattrs:S! partclass:L! "
     "partcollation:L! partexprs:t"},
    {"pg_catalog.pg_policies", 12018, true,
     "schemaname:t tablename:t policyname:t permissive:t roles:T cmd:t qual:t with_check:t"},
    {"pg_catalog.pg_policy", 3256, false,
     "oid:o! polname:t! polrelid:o! polcmd:t! polpermissive:b! polroles:L! polqual:t "
     "polwithcheck:t"},
    {"pg_catalog.pg_prepared_statements", 12095, true,
     "name:t statement:t prepare_time:z parameter_types:L from_sql:b generic_plans:l "
     "custom_plans:l"},
    {"pg_catalog.pg_prepared_xacts", 12090, true,
     "transaction:o gid:t prepared:z owner:t database:t"},
    {"pg_catalog.pg_proc", 1255, false,
     "oid:o! proname:t! pronamespace:o! proowner:o! prolang:o! procost:f! prorows:f! "
     "provariadic:o! prosupport:t! prokind:t! prosecdef:b! proleakproof:b! proisstrict:b! "
     "proretset:b! provolatile:t! proparallel:t! pronargs:s! pronargdefaults:s! prorettype:o! "
     "proargtypes:L! proallargtypes:L proargmodes:T proargnames:T proargdefaults:t "
     "protrftypes:L prosrc:t! probin:t prosqlbody:t proconfig:T proacl:T"},
    {"pg_catalog.pg_publication", 6104, false,
     "oid:o! pubname:t! pubowner:o! puballtables:b! pubinsert:b! pubupdate:b! pubdelete:b! "
     "pubtruncate:b! pubviaroot:b!"},
    {"pg_catalog.pg_publication_namespace", 6237, false, "oid:o! pnpubid:o! pnnspid:o!"},
    {"pg_catalog.pg_publication_rel", 6106, false,
     "oid:o! prpubid:o! prrelid:o! prqual:t prattrs:S"},
    {"pg_catalog.pg_publication_tables", 12068, true,
     "pubname:t schemaname:t tablename:t attnames:T rowfilter:t"},
    {"pg_catalog.pg_range", 3541, false,
     "rngtypid:o! rngsubtype:o! rngmultitypid:o! rngcollation:o! rngsubopc:o! rngcanonical:t! "
     "rngsubdiff:t!"},
    {"pg_catalog.pg_replication_origin", 6000, false, "roident:o! roname:t!"},
    {"pg_catalog.pg_replication_origin_status", 12332, true,
     "local_id:o external_id:t remote_lsn:t local_lsn:t"},
    {"pg_catalog.pg_replication_slots", 12257, true,
     "slot_name:t plugin:t slot_type:t datoid:o database:t temporary:b active:b active_pid:i "
     "xmin:o catalog_xmin:o restart_lsn:t confirmed_flush_lsn:t wal_status:t safe_wal_size:l "
     "two_phase:b"},
    {"pg_catalog.pg_rewrite", 2618, false,
     "oid:o! rulename:t! ev_class:o! ev_type:t! ev_enabled:t! is_instead:b! ev_qual:t! "
     "ev_action:t!"},
    {"pg_catalog.pg_roles", 12000, true,
     "rolname:t rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b "
     "rolreplication:b rolconnlimit:i rolpassword:t rolvaliduntil:z rolbypassrls:b rolconfig:T "
     "oid:o"},
    {"pg_catalog.pg_rules", 12023, true, "schemaname:t tablename:t rulename:t definition:t"},
    {"pg_catalog.pg_seclabel", 3596, false,
     "objoid:o! classoid:o! objsubid:i! provider:t! label:t!"},
    {"pg_catalog.pg_seclabels", 12099, true,
     "objoid:o classoid:o objsubid:i objtype:t objnamespace:o objname:t provider:t label:t"},
    {"pg_catalog.pg_sequence", 2224, false,
     "seqrelid:o! seqtypid:o! seqstart:l! seqincrement:l! seqmax:l! seqmin:l! seqcache:l! "
     "seqcycle:b!"},
    {"pg_catalog.pg_sequences", 12048, true,
     "schemaname:t sequencename:t sequenceowner:t data_type:o start_value:l min_value:l "
     "max_value:l increment_by:l cycle:b cache_size:l last_value:l"},
    {"pg_catalog.pg_settings", 12104, true,
     "name:t setting:t unit:t category:t short_desc:t extra_desc:t context:t vartype:t "
     "source:t min_val:t max_val:t enumvals:T boot_val:t reset_val:t sourcefile:t sourceline:i "
     "pending_restart:b"},
    {"pg_catalog.pg_shadow", 12005, true,
     "usename:t usesysid:o usecreatedb:b usesuper:b userepl:b usebypassrls:b passwd:t "
     "valuntil:z useconfig:T"},
    {"pg_catalog.pg_shdepend", 1214, false,
     "dbid:o! classid:o! objid:o! objsubid:i! refclassid:o! refobjid:o! deptype:t!"},
    {"pg_catalog.pg_shdescription", 2396, false, "objoid:o! classoid:o! description:t!"},
    {"pg_catalog.pg_shmem_allocations", 12134, true, "name:t off:l size:l allocated_size:l"},
    {"pg_catalog.pg_shseclabel", 3592, false, "objoid:o! classoid:o! provider:t! label:t!"},
    {"pg_catalog.pg_stat_activity", 12222, true,
     "datid:o datname:t pid:i leader_pid:i usesysid:o usename:t application_name:t "
     "client_addr:t client_hostname:t client_port:i backend_start:z xact_start:z query_start:z "
     "state_change:z wait_event_type:t wait_event:t state:t backend_xid:o backend_xmin:o "
     "query_id:l query:t backend_type:t"},
    {"pg_catalog.pg_stat_all_indexes", 12183, true,
     "relid:o indexrelid:o schemaname:t relname:t indexrelname:t idx_scan:l idx_tup_read:l "
     "idx_tup_fetch:l"},
    {"pg_catalog.pg_stat_all_tables", 12142, true,
     "relid:o schemaname:t relname:t seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l "
     "n_tup_ins:l n_tup_upd:l n_tup_del:l n_tup_hot_upd:l n_live_tup:l n_dead_tup:l "
     "n_mod_since_analyze:l n_ins_since_vacuum:l last_vacuum:z last_autovacuum:z "
     "last_analyze:z last_autoanalyze:z vacuum_count:l autovacuum_count:l analyze_count:l "
     "autoanalyze_count:l"},
    {"pg_catalog.pg_stat_archiver", 12285, true,
     "archived_count:l last_archived_wal:t last_archived_time:z failed_count:l "
     "last_failed_wal:t last_failed_time:z stats_reset:z"},
    {"pg_catalog.pg_stat_bgwriter", 12289, true,
     "checkpoints_timed:l checkpoints_req:l checkpoint_write_time:d checkpoint_sync_time:d "
     "buffers_checkpoint:l buffers_clean:l maxwritten_clean:l buffers_backend:l "
     "buffers_backend_fsync:l buffers_alloc:l stats_reset:z"},
    {"pg_catalog.pg_stat_database", 12266, true,
     "datid:o datname:t numbackends:i xact_commit:l xact_rollback:l blks_read:l blks_hit:l "
     "tup_returned:l tup_fetched:l tup_inserted:l tup_updated:l tup_deleted:l conflicts:l "
     "temp_files:l temp_bytes:l deadlocks:l checksum_failures:l checksum_last_failure:z "
     "blk_read_time:d blk_write_time:d session_time:d active_time:d idle_in_transaction_time:d "
     "sessions:l sessions_abandoned:l sessions_fatal:l sessions_killed:l stats_reset:z"},
    {"pg_catalog.pg_stat_database_conflicts", 12271, true,
     "datid:o datname:t confl_tablespace:l confl_lock:l confl_snapshot:l confl_bufferpin:l "
     "confl_deadlock:l"},
    {"pg_catalog.pg_stat_gssapi", 12253, true, "pid:i gss_authenticated:b principal:t encrypted:b"},
    {"pg_catalog.pg_stat_progress_analyze", 12297, true,
     "pid:i datid:o datname:t relid:o phase:t sample_blks_total:l sample_blks_scanned:l "
     "ext_stats_total:l ext_stats_computed:l child_tables_total:l child_tables_done:l "
     "current_child_table_relid:o"},
    {"pg_catalog.pg_stat_progress_basebackup", 12317, true,
     "pid:i phase:t backup_total:l backup_streamed:l tablespaces_total:l "
     "tablespaces_streamed:l"},
    {"pg_catalog.pg_stat_progress_cluster", 12307, true,
     "pid:i datid:o datname:t relid:o command:t phase:t cluster_index_relid:o "
     "heap_tuples_scanned:l heap_tuples_written:l heap_blks_total:l heap_blks_scanned:l "
     "index_rebuild_count:l"},
    {"pg_catalog.pg_stat_progress_copy", 12322, true,
     "pid:i datid:o datname:t relid:o command:t type:t bytes_processed:l bytes_total:l "
     "tuples_processed:l tuples_excluded:l"},
    {"pg_catalog.pg_stat_progress_create_index", 12312, true,
     "pid:i datid:o datname:t relid:o index_relid:o command:t phase:t lockers_total:l "
     "lockers_done:l current_locker_pid:l blocks_total:l blocks_done:l tuples_total:l "
     "tuples_done:l partitions_total:l partitions_done:l"},
    {"pg_catalog.pg_stat_progress_vacuum", 12302, true,
     "pid:i datid:o datname:t relid:o phase:t heap_blks_total:l heap_blks_scanned:l "
     "heap_blks_vacuumed:l index_vacuum_count:l max_dead_tuples:l num_dead_tuples:l"},
    {"pg_catalog.pg_stat_recovery_prefetch", 12240, true,
     "stats_reset:z prefetch:l hit:l skip_init:l skip_new:l skip_fpw:l skip_rep:l "
     "wal_distance:i block_distance:i io_depth:i"},
    {"pg_catalog.pg_stat_replication", 12227, true,
     "pid:i usesysid:o usename:t application_name:t client_addr:t client_hostname:t "
     "client_port:i backend_start:z backend_xmin:o state:t sent_lsn:t write_lsn:t flush_lsn:t "
     "replay_lsn:t write_lag:v flush_lag:v replay_lag:v sync_priority:i sync_state:t "
     "reply_time:z"},
    {"pg_catalog.pg_stat_replication_slots", 12262, true,
     "slot_name:t spill_txns:l spill_count:l spill_bytes:l stream_txns:l stream_count:l "
     "stream_bytes:l total_txns:l total_bytes:l stats_reset:z"},
    {"pg_catalog.pg_stat_slru", 12232, true,
     "name:t blks_zeroed:l blks_hit:l blks_read:l blks_written:l blks_exists:l flushes:l "
     "truncates:l stats_reset:z"},
    {"pg_catalog.pg_stat_ssl", 12249, true,
     "pid:i ssl:b version:t cipher:t bits:i client_dn:t client_serial:t issuer_dn:t"},
    {"pg_catalog.pg_stat_subscription", 12244, true,
     "subid:o subname:t pid:i relid:o received_lsn:t last_msg_send_time:z "
     "last_msg_receipt_time:z latest_end_lsn:t latest_end_time:z"},
    {"pg_catalog.pg_stat_subscription_stats", 12336, true,
     "subid:o subname:t apply_error_count:l sync_error_count:l stats_reset:z"},
    {"pg_catalog.pg_stat_sys_indexes", 12188, true,
     "relid:o indexrelid:o schemaname:t relname:t indexrelname:t idx_scan:l idx_tup_read:l "
     "idx_tup_fetch:l"},
    {"pg_catalog.pg_stat_sys_tables", 12152, true,
     "relid:o schemaname:t relname:t seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l "
     "n_tup_ins:l n_tup_upd:l n_tup_del:l n_tup_hot_upd:l n_live_tup:l n_dead_tup:l "
     "n_mod_since_analyze:l n_ins_since_vacuum:l last_vacuum:z last_autovacuum:z "
     "last_analyze:z last_autoanalyze:z vacuum_count:l autovacuum_count:l analyze_count:l "
     "autoanalyze_count:l"},
    {"pg_catalog.pg_stat_user_functions", 12275, true,
     "funcid:o schemaname:t funcname:t calls:l total_time:d self_time:d"},
    {"pg_catalog.pg_stat_user_indexes", 12192, true,
     "relid:o indexrelid:o schemaname:t relname:t indexrelname:t idx_scan:l idx_tup_read:l "
     "idx_tup_fetch:l"},
    {"pg_catalog.pg_stat_user_tables", 12161, true,
     "relid:o schemaname:t relname:t seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l "
     "n_tup_ins:l n_tup_upd:l n_tup_del:l n_tup_hot_upd:l n_live_tup:l n_dead_tup:l "
     "n_mod_since_analyze:l n_ins_since_vacuum:l last_vacuum:z last_autovacuum:z "
     "last_analyze:z last_autoanalyze:z vacuum_count:l autovacuum_count:l analyze_count:l "
     "autoanalyze_count:l"},
    {"pg_catalog.pg_stat_wal", 12293, true,
     "wal_records:l wal_fpi:l wal_bytes:t wal_buffers_full:l wal_write:l wal_sync:l "
     "wal_write_time:d wal_sync_time:d stats_reset:z"},
    {"pg_catalog.pg_stat_wal_receiver", 12236, true,
     "pid:i status:t receive_start_lsn:t receive_start_tli:i written_lsn:t flushed_lsn:t "
     "received_tli:i last_msg_send_time:z last_msg_receipt_time:z latest_end_lsn:t "
     "latest_end_time:z slot_name:t sender_host:t sender_port:i conninfo:t"},
    {"pg_catalog.pg_stat_xact_all_tables", 12147, true,
     "relid:o schemaname:t relname:t seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l "
     "n_tup_ins:l n_tup_upd:l n_tup_del:l n_tup_hot_upd:l"},
    {"pg_catalog.pg_stat_xact_sys_tables", 12157, true,
     "relid:o schemaname:t relname:t seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l "
     "n_tup_ins:l n_tup_upd:l n_tup_del:l n_tup_hot_upd:l"},
    {"pg_catalog.pg_stat_xact_user_functions", 12280, true,
     "funcid:o schemaname:t funcname:t calls:l total_time:d self_time:d"},
    {"pg_catalog.pg_stat_xact_user_tables", 12166, true,
     "relid:o schemaname:t relname:t seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l "
     "n_tup_ins:l n_tup_upd:l n_tup_del:l n_tup_hot_upd:l"},
    {"pg_catalog.pg_statio_all_indexes", 12196, true,
     "relid:o indexrelid:o schemaname:t relname:t indexrelname:t idx_blks_read:l "
     "idx_blks_hit:l"},
    {"pg_catalog.pg_statio_all_sequences", 12209, true,
     "relid:o schemaname:t relname:t blks_read:l blks_hit:l"},
    {"pg_catalog.pg_statio_all_tables", 12170, true,
     "relid:o schemaname:t relname:t heap_blks_read:l heap_blks_hit:l idx_blks_read:l "
     "idx_blks_hit:l toast_blks_read:l toast_blks_hit:l tidx_blks_read:l tidx_blks_hit:l"},
    {"pg_catalog.pg_statio_sys_indexes", 12201, true,
     "relid:o indexrelid:o schemaname:t relname:t indexrelname:t idx_blks_read:l "
     "idx_blks_hit:l"},
    {"pg_catalog.pg_statio_sys_sequences", 12214, true,
     "relid:o schemaname:t relname:t blks_read:l blks_hit:l"},
    {"pg_catalog.pg_statio_sys_tables", 12175, true,
     "relid:o schemaname:t relname:t heap_blks_read:l heap_blks_hit:l idx_blks_read:l "
     "idx_blks_hit:l toast_blks_read:l toast_blks_hit:l tidx_blks_read:l tidx_blks_hit:l"},
    {"pg_catalog.pg_statio_user_indexes", 12205, true,
     "relid:o indexrelid:o schemaname:t relname:t indexrelname:t idx_blks_read:l "
     "idx_blks_hit:l"},
    {"pg_catalog.pg_statio_user_sequences", 12218, true,
     "relid:o schemaname:t relname:t blks_read:l blks_hit:l"},
    {"pg_catalog.pg_statio_user_tables", 12179, true,
     "relid:o schemaname:t relname:t heap_blks_read:l heap_blks_hit:l idx_blks_read:l "
     "idx_blks_hit:l toast_blks_read:l toast_blks_hit:l tidx_blks_read:l tidx_blks_hit:l"},
    {"pg_catalog.pg_statistic", 2619, false,
     "starelid:o! staattnum:s! stainherit:b! stanullfrac:f! stawidth:i! stadistinct:f! "
     "stakind1:s! stakind2:s! stakind3:s! stakind4:s! stakind5:s! staop1:o! staop2:o! "
     "staop3:o! staop4:o! staop5:o! stacoll1:o! stacoll2:o! stacoll3:o! stacoll4:o! "
     "stacoll5:o! stanumbers1:F stanumbers2:F stanumbers3:F stanumbers4:F stanumbers5:F "
     "stavalues1:t stavalues2:t stavalues3:t stavalues4:t stavalues5:t"},
    {"pg_catalog.pg_statistic_ext", 3381, false,
     "oid:o! stxrelid:o! stxname:t! stxnamespace:o! stxowner:o! stxstattarget:i! stxkeys:S! "
     "stxkind:T! stxexprs:t"},
    {"pg_catalog.pg_statistic_ext_data", 3429, false,
     "stxoid:o! stxdinherit:b! stxdndistinct:t stxddependencies:t stxdmcv:t stxdexpr:t"},
    {"pg_catalog.pg_stats", 12053, true,
     "schemaname:t tablename:t attname:t inherited:b null_frac:f avg_width:i n_distinct:f "
     "most_common_vals:t most_common_freqs:F histogram_bounds:t correlation:f "
     "most_common_elems:t most_common_elem_freqs:F elem_count_histogram:F"},
    {"pg_catalog.pg_stats_ext", 12058, true,
     "schemaname:t tablename:t statistics_schemaname:t statistics_name:t statistics_owner:t "
     "attnames:T exprs:T kinds:T inherited:b n_distinct:t dependencies:t most_common_vals:T "
     "most_common_val_nulls:B most_common_freqs:D most_common_base_freqs:D"},
    {"pg_catalog.pg_stats_ext_exprs", 12063, true,
     "schemaname:t tablename:t statistics_schemaname:t statistics_name:t statistics_owner:t "
     "expr:t inherited:b null_frac:f avg_width:i n_distinct:f most_common_vals:t "
     "most_common_freqs:F histogram_bounds:t correlation:f most_common_elems:t "
     "most_common_elem_freqs:F elem_count_histogram:F"},
    {"pg_catalog.pg_subscription", 6100, false,
     "oid:o! subdbid:o! subskiplsn:t! subname:t! subowner:o! subenabled:b! subbinary:b! "
     "substream:b! subtwophasestate:t! subdisableonerr:b! subconninfo:t! subslotname:t "
     "subsynccommit:t! subpublications:T!"},
    {"pg_catalog.pg_subscription_rel", 6102, false,
     "srsubid:o! srrelid:o! srsubstate:t! srsublsn:t"},
    {"pg_catalog.pg_tables", 12033, true,
     "schemaname:t tablename:t tableowner:t tablespace:t hasindexes:b hasrules:b hastriggers:b "
     "rowsecurity:b"},
    {"pg_catalog.pg_tablespace", 1213, false,
     "oid:o! spcname:t! spcowner:o! spcacl:T spcoptions:T"},
    {"pg_catalog.pg_timezone_abbrevs", 12122, true, "abbrev:t utc_offset:v is_dst:b"},
    {"pg_catalog.pg_timezone_names", 12126, true, "name:t abbrev:t utc_offset:v is_dst:b"},
    {"pg_catalog.pg_transform", 3576, false,
     "oid:o! trftype:o! trflang:o! trffromsql:t! trftosql:t!"},
    {"pg_catalog.pg_trigger", 2620, false,
     "oid:o! tgrelid:o! tgparentid:o! tgname:t! tgfoid:o! tgtype:s! tgenabled:t! "
     "tgisinternal:b! tgconstrrelid:o! tgconstrindid:o! tgconstraint:o! tgdeferrable:b! "
     "tginitdeferred:b! tgnargs:s! tgattr:S! tgargs:y! tgqual:t tgoldtable:t tgnewtable:t"},
    {"pg_catalog.pg_ts_config", 3602, false,
     "oid:o! cfgname:t! cfgnamespace:o! cfgowner:o! cfgparser:o!"},
    {"pg_catalog.pg_ts_config_map", 3603, false,
     "mapcfg:o! maptokentype:i! mapseqno:i! mapdict:o!"},
    {"pg_catalog.pg_ts_dict", 3600, false,
     "oid:o! dictname:t! dictnamespace:o! dictowner:o! dicttemplate:o! dictinitoption:t"},
    {"pg_catalog.pg_ts_parser", 3601, false,
     "oid:o! prsname:t! prsnamespace:o! prsstart:t! prstoken:t! prsend:t! prsheadline:t! "
     "prslextype:t!"},
    {"pg_catalog.pg_ts_template", 3764, false,
     "oid:o! tmplname:t! tmplnamespace:o! tmplinit:t! tmpllexize:t!"},
    {"pg_catalog.pg_type", 1247, false,
     "oid:o! typname:t! typnamespace:o! typowner:o! typlen:s! typbyval:b! typtype:t! "
     "typcategory:t! typispreferred:b! typisdefined:b! typdelim:t! typrelid:o! typsubscript:t! "
     "typelem:o! typarray:o! typinput:t! typoutput:t! typreceive:t! typsend:t! typmodin:t! "
     "typmodout:t! typanalyze:t! typalign:t! typstorage:t! typnotnull:b! typbasetype:o! "
     "typtypmod:i! typndims:i! typcollation:o! typdefaultbin:t typdefault:t typacl:T"},
    {"pg_catalog.pg_user", 12014, true,
     "usename:t usesysid:o usecreatedb:b usesuper:b userepl:b usebypassrls:b passwd:t "
     "valuntil:z useconfig:T"},
    {"pg_catalog.pg_user_mapping", 1418, false, "oid:o! umuser:o! umserver:o! umoptions:T"},
    {"pg_catalog.pg_user_mappings", 12327, true,
     "umid:o srvid:o srvname:t umuser:o usename:t umoptions:T"},
    {"pg_catalog.pg_views", 12028, true, "schemaname:t viewname:t viewowner:t definition:t"},
});

}  // namespace

std::span<const PostgresRelation> pg_catalog_relations() { return kRelations; }

}  // namespace millrace::serving
