#include "catalog/catalog.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/ascii_case.h"
#include "base/mutex.h"
#include "catalog/record_store.h"
#include "catalog/record_text.h"

namespace millrace::catalog {
namespace {

/// ASCII letters in lower case: names are compared without case, as in SQL.
std::string folded(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Status check_new_name(std::string_view name) {
  MR_RETURN_IF_ERROR(check_object_name(name));
  if (folded(name).ends_with(kQuarantineSuffix)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadName,
                "'{}' cannot be a name: names that end in {} belong to quarantine streams", name,
                kQuarantineSuffix);
  }
  return {};
}

struct StreamState {
  StreamDefinition definition;
  std::vector<LakeCommit> commits;
};

struct ViewState {
  ViewRecord record;
  GenerationNumber newest;
  std::map<GenerationNumber, Generation> generations;
  std::map<CommitNumber, Checkpoint> checkpoints;
};

/// Everything that the file says. Ids order the maps, so lists come in the order of creation.
struct State {
  Counters counters;
  std::map<StreamId, StreamState> streams;
  std::map<TableId, TableRecord> tables;
  std::map<ViewId, ViewState> views;
  std::map<std::uint32_t, SchemaRecord> schemas;
  std::map<std::uint32_t, SubjectRecord> subjects;
  std::map<std::uint64_t, UserRecord> users;              // by number
  std::map<std::uint64_t, ConnectionRecord> connections;  // by number
  std::map<std::uint64_t, SinkRecord> sinks;              // by number

  [[nodiscard]] const StreamDefinition* find_stream(std::string_view name) const {
    const auto key = folded(name);
    for (const auto& [id, stream] : streams) {
      if (folded(stream.definition.name) == key) return &stream.definition;
    }
    return nullptr;
  }
  [[nodiscard]] const ViewRecord* find_view(std::string_view name) const {
    const auto key = folded(name);
    for (const auto& [id, view] : views) {
      if (!view.record.replaces && folded(view.record.name) == key) return &view.record;
    }
    return nullptr;
  }
  [[nodiscard]] const TableRecord* find_table(std::string_view name) const {
    const auto key = folded(name);
    for (const auto& [id, table] : tables) {
      if (folded(table.name) == key) return &table;
    }
    return nullptr;
  }
  [[nodiscard]] bool has(const TableUse& use) const {
    const auto found = tables.find(use.table);
    return found != tables.end() &&
           std::ranges::find(found->second.contents, use.version, &TableContent::version) !=
               found->second.contents.end();
  }
  /// The table without the contents that nobody needs; the names of their files go to `files`.
  [[nodiscard]] TableRecord without_old_contents(TableRecord table,
                                                 std::vector<std::string>& files) const {
    const auto newest = table.newest().version;
    std::erase_if(table.contents, [&](const TableContent& content) {
      if (content.version == newest) return false;
      for (const auto& [id, view] : views) {
        if (std::ranges::find(view.record.tables, TableUse{table.id, content.version}) !=
            view.record.tables.end())
          return false;
      }
      files.push_back(content.file.name);
      return true;
    });
    return table;
  }
  [[nodiscard]] const ViewRecord* replacement_of(ViewId replaced) const {
    for (const auto& [id, view] : views) {
      if (view.record.replaces == replaced) return &view.record;
    }
    return nullptr;
  }
  [[nodiscard]] Status check_replacement(const ViewRecord& record) const {
    const auto replaced = views.find(*record.replaces);
    if (replaced == views.end() || replaced->second.record.replaces ||
        !replaced->second.record.materialized || !record.materialized ||
        folded(replaced->second.record.name) != folded(record.name) ||
        replacement_of(*record.replaces) != nullptr) {
      return fail(ErrorCode::kInternal, error_id::kInternal,
                  "{} cannot be the replacement of view {}", record.name, *record.replaces);
    }
    return {};
  }
  /// Whether it reads streams, and all of them are there.
  [[nodiscard]] bool has_streams(const ViewRecord& record) const {
    return !record.streams.empty() &&
           std::ranges::all_of(record.streams, [&](StreamId id) { return streams.contains(id); });
  }
  [[nodiscard]] Status check_free(std::string_view name) const {
    if (const auto* stream = find_stream(name)) {
      return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, "a stream named {} exists",
                  stream->name);
    }
    if (const auto* view = find_view(name)) {
      return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, "a view named {} exists",
                  view->name);
    }
    if (const auto* table = find_table(name)) {
      return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, "a table named {} exists",
                  table->name);
    }
    return {};
  }
};

RecordChange put(RecordKind kind, std::uint64_t owner, std::uint64_t number, std::string content) {
  return {.key = {kind, owner, number}, .content = std::move(content)};
}
RecordChange remove(RecordKind kind, std::uint64_t owner, std::uint64_t number) {
  return {.key = {kind, owner, number}, .content = std::nullopt};
}

std::unexpected<Error> inconsistent(std::string what) {
  return fail(ErrorCode::kDataLoss, error_id::kChecksum, "the catalog contradicts itself: {}",
              what);
}

std::unexpected<Error> no_stream(StreamId id) {
  return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "no stream has the id {}", id);
}
std::unexpected<Error> no_view(ViewId id) {
  return fail(ErrorCode::kNotFound, error_id::kViewNotFound, "no view has the id {}", id);
}

std::unexpected<Error> no_table(TableId id) {
  return fail(ErrorCode::kNotFound, error_id::kTableNotFound, "no table has the id {}", id);
}

/// A quarantine stream of an earlier version lacks the newer columns. The result is the same at
/// each start, so it need not be written.
void bring_up_to_date(StreamDefinition& quarantine) {
  const StreamDefinition present = quarantine_definition();
  if (quarantine.columns.size() >= present.columns.size()) return;
  SchemaVersion before{.version = quarantine.version, .columns = quarantine.columns};
  for (std::size_t i = 0; i < before.columns.size(); ++i)
    before.columns[i].id = quarantine.field_id(i);
  quarantine.history.push_back(std::move(before));
  quarantine.columns = present.columns;
  quarantine.dedup_column = present.dedup_column;
  ++quarantine.version;
}

/// Adds one record to the state. Records come ordered by kind, then owner, then number.
Status add_record(State& state, const RecordKey& key, std::string_view text) {
  switch (key.kind) {
    case RecordKind::kCounter: {
      MR_TRY(state.counters, read_record<Counters>(text));
      return {};
    }
    case RecordKind::kStream: {
      MR_TRY(auto definition, read_record<StreamDefinition>(text));
      if (definition.id.value != key.owner || definition.id.value >= state.counters.next_stream) {
        return inconsistent(fmt::format("stream {} has the id {}", definition.name, definition.id));
      }
      if (definition.name.ends_with(kQuarantineSuffix)) bring_up_to_date(definition);
      const auto id = definition.id;
      state.streams.emplace(id, StreamState{std::move(definition), {}});
      return {};
    }
    case RecordKind::kLakeEnd:
    case RecordKind::kViewEnd:
      return {};  // compared when everything is there
    case RecordKind::kLakeCommit: {
      MR_TRY(auto commit, read_record<LakeCommit>(text));
      const auto stream = state.streams.find(commit.stream);
      if (stream == state.streams.end() || commit.stream.value != key.owner) {
        return inconsistent(
            fmt::format("a lake commit is of stream {}, which is not there", commit.stream));
      }
      auto& commits = stream->second.commits;
      const Position end = commits.empty() ? Position() : commits.back().end;
      if (commit.number.value != key.number || commit.number.value != commits.size() + 1 ||
          commit.begin != end || !commit.end.covers(end)) {
        return inconsistent(
            fmt::format("lake commit {} of stream {} begins at {}, the one before it ends at {}",
                        commit.number, commit.stream, commit.begin.json(), end.json()));
      }
      commits.push_back(std::move(commit));
      return {};
    }
    case RecordKind::kTable: {
      MR_TRY(auto record, read_record<TableRecord>(text));
      if (record.id.value != key.owner || record.id.value >= state.counters.next_table)
        return inconsistent(fmt::format("table {} has the id {}", record.name, record.id));
      const auto id = record.id;
      state.tables.emplace(id, std::move(record));
      return {};
    }
    case RecordKind::kUser: {
      MR_TRY(auto record, read_record<UserRecord>(text));
      if (record.number != key.owner)
        return inconsistent(fmt::format("user {} has the number {}", record.name, record.number));
      state.users.emplace(key.owner, std::move(record));
      return {};
    }
    case RecordKind::kConnection: {
      MR_TRY(auto record, read_record<ConnectionRecord>(text));
      if (record.number != key.owner) {
        return inconsistent(
            fmt::format("connection {} has the number {}", record.name, record.number));
      }
      state.connections.emplace(key.owner, std::move(record));
      return {};
    }
    case RecordKind::kSink: {
      MR_TRY(auto record, read_record<SinkRecord>(text));
      if (record.number != key.owner)
        return inconsistent(fmt::format("sink {} has the number {}", record.name, record.number));
      state.sinks.emplace(key.owner, std::move(record));
      return {};
    }
    case RecordKind::kView: {
      MR_TRY(auto record, read_record<ViewRecord>(text));
      if (record.id.value != key.owner || record.id.value >= state.counters.next_view ||
          (record.materialized && !state.has_streams(record))) {
        return inconsistent(fmt::format("view {} has the id {} and reads stream {}", record.name,
                                        record.id, fmt::join(record.streams, ", ")));
      }
      for (const auto& use : record.tables) {
        if (!state.has(use))
          return inconsistent(fmt::format("view {} is made of version {} of table {}", record.name,
                                          use.version, use.table));
      }
      if (record.replaces) {
        // A replacement is younger than what it replaces, and comes behind it.
        if (auto fits = state.check_replacement(record); !fits)
          return inconsistent(fits.error().message);
      }
      const auto id = record.id;
      state.views.emplace(
          id, ViewState{
                  .record = std::move(record), .newest = {}, .generations = {}, .checkpoints = {}});
      return {};
    }
    case RecordKind::kGeneration: {
      MR_TRY(auto generation, read_record<Generation>(text));
      const auto view = state.views.find(generation.view);
      if (view == state.views.end() || generation.view.value != key.owner ||
          generation.number.value != key.number ||
          generation.cuts.size() != view->second.record.streams.size()) {
        return inconsistent(fmt::format("generation {} with {} cuts is of view {}",
                                        generation.number, generation.cuts.size(),
                                        generation.view));
      }
      view->second.newest = generation.number;
      view->second.generations.emplace(generation.number, std::move(generation));
      return {};
    }
    case RecordKind::kCheckpoint: {
      MR_TRY(auto checkpoint, read_record<Checkpoint>(text));
      const auto view = state.views.find(checkpoint.view);
      if (view == state.views.end() || checkpoint.view.value != key.owner ||
          checkpoint.commit.value != key.number) {
        return inconsistent(fmt::format("a checkpoint of commit {} is of view {}",
                                        checkpoint.commit, checkpoint.view));
      }
      view->second.checkpoints.emplace(checkpoint.commit, std::move(checkpoint));
      return {};
    }
    case RecordKind::kSchema: {
      MR_TRY(auto schema, read_record<SchemaRecord>(text));
      if (schema.id != key.owner)
        return inconsistent(fmt::format("schema {} has the id {}", key.owner, schema.id));
      state.schemas.emplace(schema.id, std::move(schema));
      return {};
    }
    case RecordKind::kSubject: {
      MR_TRY(auto subject, read_record<SubjectRecord>(text));
      for (const auto& version : subject.versions) {
        if (subject.id != key.owner || !state.schemas.contains(version.schema)) {
          return inconsistent(fmt::format("version {} of subject {} has schema {}", version.version,
                                          subject.name, version.schema));
        }
      }
      state.subjects.emplace(subject.id, std::move(subject));
      return {};
    }
  }
  return {};
}

/// The newest numbers stand in records of their own: a last commit or generation cannot vanish.
Status check_newest(const State& state, const std::map<RecordKey, std::string>& records) {
  const auto newest = [&](RecordKind kind, std::uint64_t owner) -> Result<std::uint64_t> {
    const auto found = records.find({kind, owner, 0});
    if (found == records.end()) return 0;
    MR_TRY(const auto read, read_record<NewestNumber>(found->second));
    return read.number;
  };
  for (const auto& [id, stream] : state.streams) {
    MR_TRY(const auto number, newest(RecordKind::kLakeEnd, id.value));
    if (number != stream.commits.size()) {
      return inconsistent(fmt::format("stream {} has {} lake commits, the newest is {}",
                                      stream.definition.name, stream.commits.size(), number));
    }
  }
  for (const auto& [id, view] : state.views) {
    MR_TRY(const auto number, newest(RecordKind::kViewEnd, id.value));
    if (number != view.newest.value) {
      return inconsistent(fmt::format("view {} ends with generation {}, the newest is {}",
                                      view.record.name, view.newest, number));
    }
  }
  return {};
}

class StoredCatalog final : public Catalog {
 public:
  StoredCatalog(std::unique_ptr<RecordStore> store, State state)
      : store_(std::move(store)), state_(std::move(state)) {}

  [[nodiscard]] Status usable() const override {
    const MutexLock lock(mutex_);
    return usable_;
  }

  [[nodiscard]] StreamId next_stream_id() const override {
    const MutexLock lock(mutex_);
    return StreamId(state_.counters.next_stream);
  }

  Result<StreamDefinition> create_stream(StreamDefinition definition) override {
    const MutexLock change(change_);
    MR_RETURN_IF_ERROR(check_new_name(definition.name));
    const auto quarantine_name = definition.name + std::string(kQuarantineSuffix);
    if (!check_object_name(quarantine_name)) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadName,
                  "'{}' is too long for a stream: its quarantine stream {} takes at most 63 bytes",
                  definition.name, quarantine_name);
    }
    Counters counters;
    {
      const MutexLock lock(mutex_);
      MR_RETURN_IF_ERROR(state_.check_free(definition.name));
      MR_RETURN_IF_ERROR(state_.check_free(quarantine_name));
      counters = state_.counters;
    }
    StreamDefinition quarantine = quarantine_definition();
    definition.id = StreamId(counters.next_stream++);
    quarantine.id = StreamId(counters.next_stream++);
    quarantine.name = quarantine_name;
    definition.quarantine = quarantine.id;
    MR_RETURN_IF_ERROR(write({
        put(RecordKind::kCounter, 0, 0, record_text(counters)),
        put(RecordKind::kStream, definition.id.value, 0, record_text(definition)),
        put(RecordKind::kStream, quarantine.id.value, 0, record_text(quarantine)),
    }));
    const MutexLock lock(mutex_);
    state_.counters = counters;
    state_.streams.emplace(definition.id, StreamState{definition, {}});
    const StreamId quarantine_id = quarantine.id;
    state_.streams.emplace(quarantine_id, StreamState{std::move(quarantine), {}});
    return definition;
  }

  Status alter_stream(const StreamDefinition& definition) override {
    const MutexLock change(change_);
    {
      const MutexLock lock(mutex_);
      const auto found = state_.streams.find(definition.id);
      if (found == state_.streams.end()) return no_stream(definition.id);
      const auto& before = found->second.definition;
      if (definition.version < before.version || definition.name != before.name ||
          definition.partitions != before.partitions ||
          definition.quarantine != before.quarantine) {
        return fail(ErrorCode::kInternal, error_id::kInternal,
                    "stream {} of version {} cannot become one of version {}", before.name,
                    before.version, definition.version);
      }
    }
    MR_RETURN_IF_ERROR(
        write({put(RecordKind::kStream, definition.id.value, 0, record_text(definition))}));
    const MutexLock lock(mutex_);
    state_.streams.at(definition.id).definition = definition;
    return {};
  }

  Status drop_stream(StreamId id) override {
    const MutexLock change(change_);
    std::vector<RecordChange> changes;
    std::vector<StreamId> dropped = {id};
    {
      const MutexLock lock(mutex_);
      const auto found = state_.streams.find(id);
      if (found == state_.streams.end()) return no_stream(id);
      for (const auto& [other, stream] : state_.streams) {
        if (stream.definition.quarantine == id) {
          return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                      "{} keeps what stream {} could not take; it goes together with it",
                      found->second.definition.name, stream.definition.name);
        }
      }
      if (found->second.definition.quarantine)
        dropped.push_back(*found->second.definition.quarantine);
      for (const auto& [view_id, view] : state_.views) {
        if (std::ranges::find_first_of(view.record.streams, dropped) != view.record.streams.end()) {
          return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                      "stream {} is read by the materialized view {}; drop the view first",
                      found->second.definition.name, view.record.name);
        }
      }
      for (const auto stream : dropped) {
        const auto& state = state_.streams.at(stream);
        changes.push_back(remove(RecordKind::kStream, stream.value, 0));
        if (!state.commits.empty())
          changes.push_back(remove(RecordKind::kLakeEnd, stream.value, 0));
        for (const auto& commit : state.commits) {
          changes.push_back(remove(RecordKind::kLakeCommit, stream.value, commit.number.value));
        }
      }
    }
    MR_RETURN_IF_ERROR(write(changes));
    const MutexLock lock(mutex_);
    for (const auto stream : dropped) state_.streams.erase(stream);
    return {};
  }

  [[nodiscard]] std::vector<StreamDefinition> streams() const override {
    const MutexLock lock(mutex_);
    std::vector<StreamDefinition> out;
    out.reserve(state_.streams.size());
    for (const auto& [id, stream] : state_.streams) out.push_back(stream.definition);
    return out;
  }

  [[nodiscard]] std::optional<StreamDefinition> find_stream(std::string_view name) const override {
    const MutexLock lock(mutex_);
    const auto* found = state_.find_stream(name);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }

  [[nodiscard]] std::optional<StreamDefinition> stream(StreamId id) const override {
    const MutexLock lock(mutex_);
    const auto found = state_.streams.find(id);
    return found != state_.streams.end() ? std::optional(found->second.definition) : std::nullopt;
  }

  Result<ViewRecord> create_view(ViewRecord record) override {
    const MutexLock change(change_);
    MR_RETURN_IF_ERROR(check_new_name(record.name));
    Counters counters;
    {
      const MutexLock lock(mutex_);
      MR_RETURN_IF_ERROR(record.replaces ? state_.check_replacement(record)
                                         : state_.check_free(record.name));
      if (record.materialized && !state_.has_streams(record))
        return no_stream(record.streams.empty() ? StreamId() : record.streams.back());
      for (const auto& use : record.tables) {
        if (!state_.has(use))
          return fail(ErrorCode::kInternal, error_id::kInternal, "table {} has no version {}",
                      use.table, use.version);
      }
      counters = state_.counters;
    }
    record.id = ViewId(counters.next_view++);
    MR_RETURN_IF_ERROR(write({
        put(RecordKind::kCounter, 0, 0, record_text(counters)),
        put(RecordKind::kView, record.id.value, 0, record_text(record)),
    }));
    const MutexLock lock(mutex_);
    state_.counters = counters;
    state_.views.emplace(
        record.id, ViewState{.record = record, .newest = {}, .generations = {}, .checkpoints = {}});
    return record;
  }

  Status redefine_view(const ViewRecord& record) override {
    const MutexLock change(change_);
    {
      const MutexLock lock(mutex_);
      const auto found = state_.views.find(record.id);
      if (found == state_.views.end()) return no_view(record.id);
      MR_CHECK(!record.materialized && !found->second.record.materialized,
               "view {} is not a plain one", record.name);
    }
    MR_RETURN_IF_ERROR(write({put(RecordKind::kView, record.id.value, 0, record_text(record))}));
    const MutexLock lock(mutex_);
    state_.views.at(record.id).record = record;
    return {};
  }

  Result<std::vector<std::string>> switch_view(ViewId replacement) override {
    const MutexLock change(change_);
    Removal removal;
    ViewRecord record;
    ViewId replaced;
    {
      const MutexLock lock(mutex_);
      const auto found = state_.views.find(replacement);
      if (found == state_.views.end()) return no_view(replacement);
      record = found->second.record;
      MR_CHECK(record.replaces.has_value(), "view {} replaces nothing", record.name);
      replaced = *record.replaces;
      record.replaces.reset();
      remove_view(replaced, removal);
    }
    removal.changes.push_back(put(RecordKind::kView, replacement.value, 0, record_text(record)));
    MR_RETURN_IF_ERROR(write(removal.changes));
    const MutexLock lock(mutex_);
    state_.views.erase(replaced);
    state_.views.at(replacement).record = std::move(record);
    return std::vector<std::string>(removal.files.begin(), removal.files.end());
  }

  Result<std::vector<std::string>> drop_view(ViewId id) override {
    const MutexLock change(change_);
    Removal removal;
    std::optional<ViewId> replacement;
    {
      const MutexLock lock(mutex_);
      if (!state_.views.contains(id)) return no_view(id);
      if (const auto* next = state_.replacement_of(id)) replacement = next->id;
      remove_view(id, removal);
      if (replacement) remove_view(*replacement, removal);
    }
    MR_RETURN_IF_ERROR(write(removal.changes));
    const MutexLock lock(mutex_);
    state_.views.erase(id);
    if (replacement) state_.views.erase(*replacement);
    return std::vector<std::string>(removal.files.begin(), removal.files.end());
  }

  [[nodiscard]] std::optional<ViewRecord> replacement_of(ViewId id) const override {
    const MutexLock lock(mutex_);
    const auto* found = state_.replacement_of(id);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }

  [[nodiscard]] std::vector<ViewRecord> views() const override {
    const MutexLock lock(mutex_);
    std::vector<ViewRecord> out;
    out.reserve(state_.views.size());
    for (const auto& [id, view] : state_.views) out.push_back(view.record);
    return out;
  }

  [[nodiscard]] std::optional<ViewRecord> find_view(std::string_view name) const override {
    const MutexLock lock(mutex_);
    const auto* found = state_.find_view(name);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }

  [[nodiscard]] TableId next_table_id() const override {
    const MutexLock lock(mutex_);
    return TableId(state_.counters.next_table);
  }

  Result<TableRecord> create_table(TableRecord record) override {
    const MutexLock change(change_);
    MR_RETURN_IF_ERROR(check_new_name(record.name));
    Counters counters;
    {
      const MutexLock lock(mutex_);
      MR_RETURN_IF_ERROR(state_.check_free(record.name));
      counters = state_.counters;
    }
    record.id = TableId(counters.next_table++);
    MR_RETURN_IF_ERROR(write({
        put(RecordKind::kCounter, 0, 0, record_text(counters)),
        put(RecordKind::kTable, record.id.value, 0, record_text(record)),
    }));
    const MutexLock lock(mutex_);
    state_.counters = counters;
    state_.tables.emplace(record.id, record);
    return record;
  }

  Result<std::vector<std::string>> add_table_content(TableId id,
                                                     const TableContent& content) override {
    const MutexLock change(change_);
    std::vector<std::string> files;
    TableRecord next;
    {
      const MutexLock lock(mutex_);
      const auto found = state_.tables.find(id);
      if (found == state_.tables.end()) return no_table(id);
      next = found->second;
      MR_CHECK(content.version > next.newest().version, "table {}: version {} comes after {}",
               next.name, content.version, next.newest().version);
      next.contents.push_back(content);
      next = state_.without_old_contents(std::move(next), files);
    }
    MR_RETURN_IF_ERROR(write({put(RecordKind::kTable, id.value, 0, record_text(next))}));
    const MutexLock lock(mutex_);
    state_.tables.at(id) = std::move(next);
    return files;
  }

  Result<std::vector<std::string>> drop_old_table_contents() override {
    const MutexLock change(change_);
    std::vector<std::string> files;
    std::vector<TableRecord> changed;
    std::vector<RecordChange> changes;
    {
      const MutexLock lock(mutex_);
      for (const auto& [id, table] : state_.tables) {
        auto next = state_.without_old_contents(table, files);
        if (next == table) continue;
        changes.push_back(put(RecordKind::kTable, id.value, 0, record_text(next)));
        changed.push_back(std::move(next));
      }
    }
    if (changes.empty()) return files;
    MR_RETURN_IF_ERROR(write(changes));
    const MutexLock lock(mutex_);
    for (auto& table : changed) {
      const auto id = table.id;
      state_.tables.at(id) = std::move(table);
    }
    return files;
  }

  Result<std::vector<std::string>> drop_table(TableId id) override {
    const MutexLock change(change_);
    std::vector<std::string> files;
    {
      const MutexLock lock(mutex_);
      const auto found = state_.tables.find(id);
      if (found == state_.tables.end()) return no_table(id);
      for (const auto& [view_id, view] : state_.views) {
        if (std::ranges::find(view.record.tables, id, &TableUse::table) !=
            view.record.tables.end()) {
          return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                      "table {} is read by the materialized view {}; drop the view first",
                      found->second.name, view.record.name);
        }
      }
      for (const auto& content : found->second.contents) files.push_back(content.file.name);
    }
    MR_RETURN_IF_ERROR(write({remove(RecordKind::kTable, id.value, 0)}));
    const MutexLock lock(mutex_);
    state_.tables.erase(id);
    return files;
  }

  Status put_subject(const SubjectRecord& subject,
                     const std::optional<SchemaRecord>& schema) override {
    const MutexLock change(change_);
    std::vector<RecordChange> changes = {
        put(RecordKind::kSubject, subject.id, 0, record_text(subject))};
    if (schema) changes.push_back(put(RecordKind::kSchema, schema->id, 0, record_text(*schema)));
    MR_RETURN_IF_ERROR(write(changes));
    const MutexLock lock(mutex_);
    if (schema) state_.schemas.insert_or_assign(schema->id, *schema);
    state_.subjects.insert_or_assign(subject.id, subject);
    return {};
  }

  Status drop_subject(std::uint32_t id) override {
    const MutexLock change(change_);
    MR_RETURN_IF_ERROR(write({remove(RecordKind::kSubject, id, 0)}));
    const MutexLock lock(mutex_);
    state_.subjects.erase(id);
    return {};
  }

  [[nodiscard]] std::vector<SchemaRecord> schemas() const override {
    const MutexLock lock(mutex_);
    std::vector<SchemaRecord> out;
    for (const auto& [id, schema] : state_.schemas) out.push_back(schema);
    return out;
  }

  [[nodiscard]] std::vector<SubjectRecord> subjects() const override {
    const MutexLock lock(mutex_);
    std::vector<SubjectRecord> out;
    for (const auto& [id, subject] : state_.subjects) out.push_back(subject);
    return out;
  }

  [[nodiscard]] std::vector<TableRecord> tables() const override {
    const MutexLock lock(mutex_);
    std::vector<TableRecord> out;
    for (const auto& [id, table] : state_.tables) out.push_back(table);
    return out;
  }

  [[nodiscard]] std::optional<TableRecord> find_table(std::string_view name) const override {
    const MutexLock lock(mutex_);
    const auto* found = state_.find_table(name);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }

  [[nodiscard]] std::optional<TableRecord> table(TableId id) const override {
    const MutexLock lock(mutex_);
    const auto found = state_.tables.find(id);
    return found != state_.tables.end() ? std::optional(found->second) : std::nullopt;
  }

  Status add_lake_commit(const LakeCommit& commit) override {
    const MutexLock change(change_);
    {
      const MutexLock lock(mutex_);
      const auto found = state_.streams.find(commit.stream);
      if (found == state_.streams.end()) return no_stream(commit.stream);
      const auto& commits = found->second.commits;
      const Position end = commits.empty() ? Position() : commits.back().end;
      if (commit.number.value != commits.size() + 1 || commit.begin != end ||
          !commit.end.covers(commit.begin) || commit.end == commit.begin) {
        return fail(
            ErrorCode::kInternal, error_id::kInternal,
            "lake commit {} of stream {} goes from {} to {}, but its place is number {} from {} on",
            commit.number, commit.stream, commit.begin.json(), commit.end.json(),
            commits.size() + 1, end.json());
      }
    }
    const auto stream = commit.stream.value;
    MR_RETURN_IF_ERROR(write({
        put(RecordKind::kLakeEnd, stream, 0, record_text(NewestNumber{commit.number.value})),
        put(RecordKind::kLakeCommit, stream, commit.number.value, record_text(commit)),
    }));
    const MutexLock lock(mutex_);
    state_.streams.at(commit.stream).commits.push_back(commit);
    return {};
  }

  [[nodiscard]] std::vector<LakeCommit> lake_commits(StreamId stream) const override {
    const MutexLock lock(mutex_);
    const auto found = state_.streams.find(stream);
    return found != state_.streams.end() ? found->second.commits : std::vector<LakeCommit>();
  }

  Result<std::vector<std::string>> add_generation(const Generation& generation,
                                                  std::uint32_t keep) override {
    const MutexLock change(change_);
    const auto view = generation.view.value;
    std::vector<RecordChange> changes = {
        put(RecordKind::kViewEnd, view, 0, record_text(NewestNumber{generation.number.value})),
        put(RecordKind::kGeneration, view, generation.number.value, record_text(generation)),
    };
    ViewState next;
    std::set<std::string> unnamed;
    {
      const MutexLock lock(mutex_);
      const auto found = state_.views.find(generation.view);
      if (found == state_.views.end()) return no_view(generation.view);
      MR_RETURN_IF_ERROR(check_generation(found->second, generation));
      next = found->second;
    }
    next.newest = generation.number;
    next.generations.emplace(generation.number, generation);
    while (next.generations.size() > std::max(keep, 1U)) {
      const auto oldest = next.generations.begin();
      changes.push_back(remove(RecordKind::kGeneration, view, oldest->first.value));
      unnamed.insert(oldest->second.file.name);
      next.generations.erase(oldest);
    }
    std::erase_if(next.checkpoints, [&](const auto& entry) {
      const auto& checkpoint = entry.second;
      if (checkpoint.base_commit >= generation.cuts.front().commit) return false;
      changes.push_back(remove(RecordKind::kCheckpoint, view, checkpoint.commit.value));
      unnamed.insert(checkpoint.file.name);
      return true;
    });
    MR_RETURN_IF_ERROR(write(changes));
    for (const auto& [number, kept] : next.generations) unnamed.erase(kept.file.name);
    for (const auto& [commit, kept] : next.checkpoints) unnamed.erase(kept.file.name);
    unnamed.erase("");
    const MutexLock lock(mutex_);
    state_.views.at(generation.view) = std::move(next);
    return std::vector<std::string>(unnamed.begin(), unnamed.end());
  }

  [[nodiscard]] std::vector<Generation> generations(ViewId view) const override {
    const MutexLock lock(mutex_);
    std::vector<Generation> out;
    if (const auto found = state_.views.find(view); found != state_.views.end()) {
      for (const auto& [number, generation] : found->second.generations) out.push_back(generation);
    }
    return out;
  }

  Result<std::vector<std::string>> add_checkpoint(const Checkpoint& checkpoint) override {
    const MutexLock change(change_);
    const auto view_id = checkpoint.view.value;
    std::vector<RecordChange> changes = {
        put(RecordKind::kCheckpoint, view_id, checkpoint.commit.value, record_text(checkpoint))};
    std::set<std::string> unnamed;
    {
      const MutexLock lock(mutex_);
      const auto found = state_.views.find(checkpoint.view);
      if (found == state_.views.end()) return no_view(checkpoint.view);
      const auto& view = found->second;
      const auto stream = state_.streams.find(checkpoint.stream);
      if (view.record.streams != std::vector{checkpoint.stream} || stream == state_.streams.end() ||
          checkpoint.base_commit > checkpoint.commit ||
          checkpoint.commit.value > stream->second.commits.size()) {
        return fail(
            ErrorCode::kInternal, error_id::kInternal,
            "a checkpoint of view {} goes from commit {} to {} of stream {}, which do not exist",
            view.record.name, checkpoint.base_commit, checkpoint.commit, checkpoint.stream);
      }
      for (const auto& [commit, old] : view.checkpoints) {
        if (commit != checkpoint.commit) {
          changes.push_back(remove(RecordKind::kCheckpoint, view_id, commit.value));
        }
        unnamed.insert(old.file.name);
      }
      for (const auto& [number, generation] : view.generations) unnamed.erase(generation.file.name);
      unnamed.erase(checkpoint.file.name);
      unnamed.erase("");
    }
    MR_RETURN_IF_ERROR(write(changes));
    const MutexLock lock(mutex_);
    auto& checkpoints = state_.views.at(checkpoint.view).checkpoints;
    checkpoints.clear();
    checkpoints.emplace(checkpoint.commit, checkpoint);
    return std::vector<std::string>(unnamed.begin(), unnamed.end());
  }

  [[nodiscard]] std::vector<Checkpoint> checkpoints(ViewId view) const override {
    const MutexLock lock(mutex_);
    std::vector<Checkpoint> out;
    if (const auto found = state_.views.find(view); found != state_.views.end()) {
      for (const auto& [commit, checkpoint] : found->second.checkpoints) out.push_back(checkpoint);
    }
    return out;
  }

  Status put_user(UserRecord user) override {
    const MutexLock change(change_);
    {
      const MutexLock lock(mutex_);
      user.number = state_.users.empty() ? 1 : state_.users.rbegin()->first + 1;
      for (const auto& [number, other] : state_.users) {
        if (other.name == user.name) user.number = number;
      }
    }
    MR_RETURN_IF_ERROR(write({put(RecordKind::kUser, user.number, 0, record_text(user))}));
    const MutexLock lock(mutex_);
    state_.users.insert_or_assign(user.number, std::move(user));
    return {};
  }

  Status drop_user(std::string_view name) override {
    const MutexLock change(change_);
    std::uint64_t number = 0;
    {
      const MutexLock lock(mutex_);
      for (const auto& [other, user] : state_.users) {
        if (user.name == name) number = other;
      }
    }
    if (number == 0)
      return fail(ErrorCode::kNotFound, error_id::kUserNotFound, "there is no user {}", name);
    MR_RETURN_IF_ERROR(write({remove(RecordKind::kUser, number, 0)}));
    const MutexLock lock(mutex_);
    state_.users.erase(number);
    return {};
  }

  Status put_connection(ConnectionRecord connection) override {
    const MutexLock change(change_);
    {
      const MutexLock lock(mutex_);
      const auto& all = state_.connections;
      connection.number = all.empty() ? 1 : all.rbegin()->first + 1;
      for (const auto& [number, other] : all) {
        if (same_name(other.name, connection.name)) connection.number = number;
      }
    }
    MR_RETURN_IF_ERROR(
        write({put(RecordKind::kConnection, connection.number, 0, record_text(connection))}));
    const MutexLock lock(mutex_);
    state_.connections.insert_or_assign(connection.number, std::move(connection));
    return {};
  }

  Status drop_connection(std::uint64_t number) override {
    const MutexLock change(change_);
    MR_RETURN_IF_ERROR(write({remove(RecordKind::kConnection, number, 0)}));
    const MutexLock lock(mutex_);
    state_.connections.erase(number);
    return {};
  }

  Status put_sink(SinkRecord sink) override {
    const MutexLock change(change_);
    {
      const MutexLock lock(mutex_);
      const auto& all = state_.sinks;
      sink.number = all.empty() ? 1 : all.rbegin()->first + 1;
      for (const auto& [number, other] : all) {
        if (same_name(other.name, sink.name)) sink.number = number;
      }
    }
    MR_RETURN_IF_ERROR(write({put(RecordKind::kSink, sink.number, 0, record_text(sink))}));
    const MutexLock lock(mutex_);
    state_.sinks.insert_or_assign(sink.number, std::move(sink));
    return {};
  }

  Status drop_sink(std::uint64_t number) override {
    const MutexLock change(change_);
    MR_RETURN_IF_ERROR(write({remove(RecordKind::kSink, number, 0)}));
    const MutexLock lock(mutex_);
    state_.sinks.erase(number);
    return {};
  }

  [[nodiscard]] std::vector<SinkRecord> sinks() const override {
    const MutexLock lock(mutex_);
    std::vector<SinkRecord> out;
    for (const auto& [number, sink] : state_.sinks) out.push_back(sink);
    return out;
  }

  [[nodiscard]] std::vector<ConnectionRecord> connections() const override {
    const MutexLock lock(mutex_);
    std::vector<ConnectionRecord> out;
    for (const auto& [number, connection] : state_.connections) out.push_back(connection);
    return out;
  }

  [[nodiscard]] std::vector<UserRecord> users() const override {
    const MutexLock lock(mutex_);
    std::vector<UserRecord> out;
    for (const auto& [number, user] : state_.users) out.push_back(user);
    return out;
  }

 private:
  /// What goes with a view: records, and files that nobody else names.
  struct Removal {
    std::vector<RecordChange> changes;
    std::set<std::string> files;
  };
  void remove_view(ViewId id, Removal& removal) const REQUIRES(mutex_) {
    const auto& view = state_.views.at(id);
    removal.changes.push_back(remove(RecordKind::kView, id.value, 0));
    if (view.newest.value != 0)
      removal.changes.push_back(remove(RecordKind::kViewEnd, id.value, 0));
    for (const auto& [number, generation] : view.generations) {
      removal.changes.push_back(remove(RecordKind::kGeneration, id.value, number.value));
      removal.files.insert(generation.file.name);
    }
    for (const auto& [commit, checkpoint] : view.checkpoints) {
      removal.changes.push_back(remove(RecordKind::kCheckpoint, id.value, commit.value));
      removal.files.insert(checkpoint.file.name);
    }
    removal.files.erase("");
  }

  Status check_generation(const ViewState& view, const Generation& generation) REQUIRES(mutex_) {
    const auto& streams = view.record.streams;
    if (generation.number <= view.newest || generation.cuts.size() != streams.size()) {
      return fail(ErrorCode::kInternal, error_id::kInternal,
                  "generation {} of view {} comes after {} and has {} cuts for {} streams",
                  generation.number, view.record.name, view.newest, generation.cuts.size(),
                  streams.size());
    }
    for (std::size_t i = 0; i < streams.size(); ++i) {
      const auto& cut = generation.cuts[i];
      const auto stream = state_.streams.find(streams[i]);
      const auto commits = stream != state_.streams.end() ? stream->second.commits.size() : 0;
      const bool known = cut.commit.value <= commits;
      const Position end = known && cut.commit.value != 0
                               ? stream->second.commits[cut.commit.value - 1].end
                               : Position();
      const bool older = !view.generations.empty() &&
                         cut.commit < view.generations.rbegin()->second.cuts[i].commit;
      if (!known || cut.end != end || older) {
        return fail(ErrorCode::kInternal, error_id::kInternal,
                    "generation {} of view {} cuts stream {} at {} after lake commit {}, which "
                    "ends at {}, or before the generation before",
                    generation.number, view.record.name, streams[i], cut.end.json(), cut.commit,
                    end.json());
      }
    }
    return {};
  }

  Status write(std::span<const RecordChange> changes) REQUIRES(change_) EXCLUDES(mutex_) {
    auto written = store_->write(changes);
    if (!written) {
      const MutexLock lock(mutex_);
      usable_ = store_->usable();
    }
    return written;
  }
  Status write(std::initializer_list<RecordChange> changes) REQUIRES(change_) EXCLUDES(mutex_) {
    return write(std::span(changes.begin(), changes.size()));
  }

  // One change at a time holds `change_` while it waits for the disk; `mutex_` is held only for
  // memory, so that readers never wait for the disk.
  Mutex change_;
  mutable Mutex mutex_;
  std::unique_ptr<RecordStore> store_ GUARDED_BY(change_);
  State state_ GUARDED_BY(mutex_);
  Status usable_ GUARDED_BY(mutex_);
};

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::open(const std::filesystem::path& path) {
  std::map<RecordKey, std::string> records;
  MR_TRY(auto store, RecordStore::open(path, records));
  State state;
  for (const auto& [key, text] : records) {
    if (auto added = add_record(state, key, text); !added) {
      return std::unexpected(std::move(added).error().within("{}", path.string()));
    }
  }
  if (auto checked = check_newest(state, records); !checked) {
    return std::unexpected(std::move(checked).error().within("{}", path.string()));
  }
  return std::make_unique<StoredCatalog>(std::move(store), std::move(state));
}

}  // namespace millrace::catalog
