// What the routes' texts refer to: schemas, parameters, bodies and answers of the OpenAPI document.
#include "endpoint/api_document.h"

namespace millrace::endpoint {

std::string_view document_parts() {
  return R"json({
 "openapi": "3.1.0",
 "info": {"title": "Millrace", "version": "", "license": {"name": "Apache-2.0", "identifier":
  "Apache-2.0"}, "description":
  "Events in, answers of SQL views out. A route for GET also serves HEAD. Any address may answer 400, 405, 408, 413, 414 or 431 with a problem document where the request itself is malformed, too slow or too large."},
 "servers": [{"url": "/"}],
 "security": [{}, {"bearer": []}, {"basic": []}],
 "tags": [{"name": "events"}, {"name": "views"}, {"name": "sql"}, {"name": "batch"}, {"name":
  "schemas"}, {"name": "server"}],
 "paths": {},
 "components": {
  "securitySchemes": {
   "bearer": {"type": "http", "scheme": "bearer", "description": "A token of CREATE TOKEN"},
   "basic": {"type": "http", "scheme": "basic", "description": "A user of CREATE USER"}
  },
  "headers": {
   "X-Request-Id": {"description": "As the client sent it, or made", "schema": {"type": "string"}},
   "Millrace-Position": {"description":
    "Give it to a read as at_least, and the read is not older", "schema": {"type": "string"},
    "example": "p1.1.17-4~92bd6a10"},
   "Millrace-Coverage": {"description": "Coverage as JSON, where the body is no JSON document",
    "schema": {"type": "string"}},
   "Millrace-Truncated": {"description": "There were more rows", "schema": {"const": "true"}},
   "Idempotent-Replayed": {"description": "The answer of an earlier request with this key",
    "schema": {"const": "true"}},
   "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}
  },
  "parameters": {
   "path.stream": {"name": "stream", "in": "path", "description": "Name of a stream", "schema":
    {"type": "string"}, "required": true, "example": "trips"},
   "path.view": {"name": "view", "in": "path", "description": "Name of a materialized view",
    "schema": {"type": "string"}, "required": true, "example": "by_city"},
   "path.subject": {"name": "subject", "in": "path", "description": "Name of a subject", "schema":
    {"type": "string"}, "required": true, "example": "trips-value"},
   "path.version": {"name": "version", "in": "path", "description": "A number, or latest",
    "schema": {"type": "string"}, "required": true, "example": "latest"},
   "path.session": {"name": "session", "in": "path", "description": "Name of a session", "schema":
    {"type": "string"}, "required": true, "example": "0f8fad5bd9cb469fa16570867728950e"},
   "path.id": {"name": "id", "in": "path", "description": "A schema's id", "schema": {"type":
    "integer", "minimum": 1}, "required": true, "example": 1},
   "query.on_error": {"name": "on_error", "in": "query", "description":
    "What becomes of a request with bad records", "schema": {"enum": ["quarantine", "partial",
    "reject"], "default": "quarantine"}},
   "query.wait": {"name": "wait", "in": "query", "description":
    "What the answer waits for: that every view has the events, or the disk alone", "schema":
    {"enum": ["visible", "durable"], "default": "visible"}},
   "query.at_least": {"name": "at_least", "in": "query", "description":
    "A header Millrace-Position: the answer covers it, or is 504 after timeout_ms", "schema":
    {"type": "string", "pattern": "^p1\\.[0-9._~a-f-]+$"}},
   "query.timeout_ms": {"name": "timeout_ms", "in": "query", "description":
    "How long to wait for at_least", "schema": {"type": "integer", "minimum": 0, "maximum": 60000,
    "default": 5000}},
   "query.limit": {"name": "limit", "in": "query", "description": "Most rows or events", "schema":
    {"type": "integer", "minimum": 0}},
   "query.order": {"name": "order", "in": "query", "description":
    "Columns by comma; a minus in front is descending", "schema": {"type": "string"}, "example":
    "-trips,city"},
   "query.format": {"name": "format", "in": "query", "description":
    "Form of the rows, before Accept", "schema": {"enum": ["json", "jsonl", "csv", "arrow"]}},
   "query.columns": {"name": "columns", "in": "query", "description":
    "The name of a column of the view, with the value that it must have", "schema": {"type":
    "object", "additionalProperties": {"type": "string"}}, "style": "form", "explode": true,
    "example": {"city": "Lima"}},
   "query.from": {"name": "from", "in": "query", "description":
    "earliest, latest, a position such as 17-4, or a time", "schema": {"type": "string", "default":
    "earliest"}},
   "query.follow": {"name": "follow", "in": "query", "description": "Stay, and give what comes",
    "schema": {"type": "boolean", "default": false}},
   "query.snapshot": {"name": "snapshot", "in": "query", "description": "Begin with all rows",
    "schema": {"type": "boolean", "default": true}},
   "query.after": {"name": "after", "in": "query", "description":
    "The id of an event: go on from there", "schema": {"type": "string"}},
   "query.window": {"name": "window", "in": "query", "description":
    "Over a WebSocket: batches under way until they are acknowledged", "schema": {"type":
    "integer", "minimum": 1, "maximum": 1000}},
   "query.deleted": {"name": "deleted", "in": "query", "description": "Hidden ones, too",
    "schema": {"type": "boolean", "default": false}},
   "query.permanent": {"name": "permanent", "in": "query", "description": "Forget what is hidden",
    "schema": {"type": "boolean", "default": false}},
   "query.subjectPrefix": {"name": "subjectPrefix", "in": "query", "description":
    "Only names that begin so", "schema": {"type": "string"}},
   "query.verbose": {"name": "verbose", "in": "query", "description": "Say what does not fit",
    "schema": {"type": "boolean", "default": false}},
   "query.defaultToGlobal": {"name": "defaultToGlobal", "in": "query", "description":
    "Of the whole where the subject has none", "schema": {"type": "boolean", "default": false}},
   "header.Idempotency-Key": {"name": "Idempotency-Key", "in": "header", "description":
    "The same key with the same body stores nothing and gets the same answer", "schema": {"type":
    "string", "minLength": 1, "maxLength": 255}},
   "header.ce-specversion": {"name": "ce-specversion", "in": "header", "description":
    "With the other ce- headers: the body is a CloudEvent's data", "schema": {"type": "string",
    "enum": ["1.0"]}},
   "header.Last-Event-ID": {"name": "Last-Event-ID", "in": "header", "description":
    "Go on behind this event, before from and after", "schema": {"type": "string"}}
  },
  "requestBodies": {
   "Events": {"description": "Records in one of the formats of docs/reference/formats_in.md",
    "required": true, "content": {"application/x-ndjson": {"schema": {"type": "string"}, "example":
    "{\"started\": \"2026-01-01T08:00:00Z\", \"city\": \"Lima\", \"minutes\": 12.5}\n"},
    "application/json": {"schema": {"anyOf": [{"type": "object"}, {"type": "array", "items":
    {"type": "object"}}]}, "example": {"started": "2026-01-01T08:00:00Z", "city": "Lima",
    "minutes": 12.5}}, "text/csv": {"schema": {"type": "string"}, "example":
    "city,minutes\nLima,12.5\n"}, "text/tab-separated-values": {"schema": {"type": "string"}},
    "application/avro": {"schema": {}}, "application/x-protobuf": {"schema": {}},
    "application/cloudevents+json": {"schema": {"type": "object", "required": ["specversion", "id",
    "source", "type"]}}, "application/cloudevents-batch+json": {"schema": {"type": "array",
    "items": {"type": "object"}}}}},
   "Replay": {"description": "Which records; all without a body", "required": false, "content":
    {"application/json": {"schema": {"type": "object", "required": [], "properties": {"where":
    {"type": "string"}}, "additionalProperties": false}, "example": {"where": "code = 'MR2003'"}}}},
   "Statement": {"required": true, "content": {"application/json": {"schema": {"type": "object",
    "required": ["sql"], "properties": {"sql": {"type": "string"}}, "additionalProperties": false},
    "example": {"sql": "SELECT city, count(*) FROM trips GROUP BY city"}}}},
   "Keys": {"description": "An object or an array for each key, 1000 at most", "required": true,
    "content": {"application/json": {"schema": {"type": "array", "maxItems": 1000, "items":
    {"anyOf": [{"type": "object"}, {"type": "array"}]}}, "example": [{"city": "Lima"}, {"city":
    "Oslo"}]}}},
   "BatchRun": {"required": false, "content": {"application/json": {"schema": {"type": "object",
    "required": [], "properties": {"full": {"type": "boolean"}}, "additionalProperties": false},
    "example": {"full": true}}}},
   "Schema": {"required": true, "content": {"application/vnd.schemaregistry.v1+json": {"schema":
    {"$ref": "#/components/schemas/NewSchema"}}, "application/json": {"schema": {"$ref":
    "#/components/schemas/NewSchema"}}}},
   "CompatibilityLevel": {"required": true, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "object", "required": ["compatibility"], "properties": {"compatibility":
    {"$ref": "#/components/schemas/Level"}}}}, "application/json": {"schema": {"type": "object",
    "required": ["compatibility"], "properties": {"compatibility": {"$ref":
    "#/components/schemas/Level"}}}}}},
   "Mode": {"required": true, "content": {"application/vnd.schemaregistry.v1+json": {"schema":
    {"type": "object", "required": ["mode"], "properties": {"mode": {"enum": ["READWRITE",
    "READONLY"]}}}}, "application/json": {"schema": {"type": "object", "required": ["mode"],
    "properties": {"mode": {"enum": ["READWRITE", "READONLY"]}}}}}}
  },
  "responses": {
   "Problem": {"description": "What went wrong, and what to do", "headers": {"X-Request-Id":
    {"$ref": "#/components/headers/X-Request-Id"}, "Retry-After": {"$ref":
    "#/components/headers/Retry-After"}}, "content": {"application/problem+json": {"schema":
    {"$ref": "#/components/schemas/Problem"}}}},
   "EventsStored": {"description":
    "Durable and visible; the records that were not taken are named", "headers": {"X-Request-Id":
    {"$ref": "#/components/headers/X-Request-Id"}, "Millrace-Position": {"$ref":
    "#/components/headers/Millrace-Position"}, "Idempotent-Replayed": {"$ref":
    "#/components/headers/Idempotent-Replayed"}}, "content": {"application/json": {"schema":
    {"$ref": "#/components/schemas/EventsAnswer"}}}},
   "EventsRefused": {"description":
    "No record could be taken, or the Idempotency-Key was used for another request", "headers":
    {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}, "Idempotent-Replayed": {"$ref":
    "#/components/headers/Idempotent-Replayed"}}, "content": {"application/json": {"schema":
    {"$ref": "#/components/schemas/EventsAnswer"}}, "application/problem+json": {"schema": {"$ref":
    "#/components/schemas/Problem"}}}},
   "EventLines": {"description": "The events, each once", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}, "Millrace-Position": {"$ref":
    "#/components/headers/Millrace-Position"}}, "content": {"application/x-ndjson": {"schema":
    {"type": "string"}}, "text/event-stream": {"schema": {"type": "string"}}}},
   "Rows": {"description": "Rows, and what they cover", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}, "Millrace-Position": {"$ref":
    "#/components/headers/Millrace-Position"}, "Millrace-Coverage": {"$ref":
    "#/components/headers/Millrace-Coverage"}, "Millrace-Truncated": {"$ref":
    "#/components/headers/Millrace-Truncated"}}, "content": {"application/json": {"schema":
    {"$ref": "#/components/schemas/ViewRows"}}, "application/x-ndjson": {"schema": {"type":
    "string"}}, "text/csv": {"schema": {"type": "string"}}, "application/vnd.apache.arrow.stream":
    {"schema": {}}}},
   "FoundRows": {"description":
    "A row for each key, in their order; without a row: null, or in other formats _found is false",
    "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}, "Millrace-Position":
    {"$ref": "#/components/headers/Millrace-Position"}, "Millrace-Coverage": {"$ref":
    "#/components/headers/Millrace-Coverage"}}, "content": {"application/json": {"schema": {"$ref":
    "#/components/schemas/FoundRows"}}, "application/x-ndjson": {"schema": {"type": "string"}},
    "text/csv": {"schema": {"type": "string"}}, "application/vnd.apache.arrow.stream": {"schema":
    {}}}},
   "Statement": {"description": "What the statement gave", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}, "Millrace-Position": {"$ref":
    "#/components/headers/Millrace-Position"}, "Millrace-Coverage": {"$ref":
    "#/components/headers/Millrace-Coverage"}, "Millrace-Truncated": {"$ref":
    "#/components/headers/Millrace-Truncated"}}, "content": {"application/json": {"schema":
    {"$ref": "#/components/schemas/StatementAnswer"}}, "application/x-ndjson": {"schema": {"type":
    "string"}}, "text/csv": {"schema": {"type": "string"}}, "application/vnd.apache.arrow.stream":
    {"schema": {}}}},
   "Session": {"description": "Its name", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"type":
    "object", "required": ["session"], "properties": {"session": {"type": "string"}}}}}},
   "SessionStatement": {"description":
    "What the statement gave; of SUBSCRIBE rows as JSON Lines that have no end", "headers":
    {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}, "Millrace-Position": {"$ref":
    "#/components/headers/Millrace-Position"}}, "content": {"application/json": {"schema": {"allOf":
    [{"$ref": "#/components/schemas/StatementAnswer"}, {"type": "object", "required":
    ["transaction", "notices"], "properties": {"affected": {"type": "integer"}, "transaction":
    {"enum": ["none", "open", "failed"]}, "notices": {"type": "array", "items": {"type":
    "string"}}}}]}}, "application/x-ndjson": {"schema": {"type": "string"}}}},
   "Changes": {"description": "Server-Sent Events: reset, snapshot, changes, resumed, end",
    "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}, "content":
    {"text/event-stream": {"schema": {"type": "string"}}}},
   "WebSocket": {"description": "The same as messages of a WebSocket"},
   "MqttWebSocket": {"description": "MQTT packets in binary messages"},
   "Plan": {"description": "The plan", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"type":
    "object"}}}},
   "Streams": {"description": "Definitions, positions, rates", "headers": {"X-Request-Id":
    {"$ref": "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema":
    {"$ref": "#/components/schemas/StreamList"}}}},
   "Views": {"description": "Definitions, coverage, state", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"$ref":
    "#/components/schemas/ViewList"}}}},
   "BatchAccepted": {"description": "The number of the run", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"type":
    "object", "required": ["run"], "properties": {"run": {"type": "integer"}}}}}},
   "Batch": {"description": "The batch layer", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"$ref":
    "#/components/schemas/BatchState"}}}},
   "Empty": {"description": "Done", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"type":
    "object", "maxProperties": 0}}}},
   "Document": {"description": "OpenAPI 3.1", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"type":
    "object"}}}},
   "Health": {"description": "Alive", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"type":
    "object", "required": ["status"], "properties": {"status": {"const": "alive"}}}}}},
   "Ready": {"description": "Ready", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/json": {"schema": {"type":
    "object", "required": ["status", "log", "views_building", "views_failed"], "properties":
    {"status": {"const": "ready"}, "log": {"type": "string"}, "views_building": {"type":
    "integer"}, "views_failed": {"type": "integer"}}}}}},
   "Metrics": {"description": "Prometheus' text format 0.0.4", "headers": {"X-Request-Id":
    {"$ref": "#/components/headers/X-Request-Id"}}, "content": {"text/plain": {"schema": {"type":
    "string"}}}},
   "RegistryError": {"description": "In the form of Confluent's API", "headers": {"X-Request-Id":
    {"$ref": "#/components/headers/X-Request-Id"}}, "content":
    {"application/vnd.schemaregistry.v1+json": {"schema": {"$ref":
    "#/components/schemas/RegistryProblem"}}, "application/problem+json": {"schema": {"$ref":
    "#/components/schemas/Problem"}}}},
   "Names": {"description": "Names", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "array", "items": {"type": "string"}}}}},
   "Numbers": {"description": "Versions", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "array", "items": {"type": "integer"}}}}},
   "Number": {"description": "A version", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}},
   "SchemaId": {"description": "The schema's id", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}}}},
   "SchemaVersion": {"description": "A schema as a version of a subject", "headers":
    {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}, "content":
    {"application/vnd.schemaregistry.v1+json": {"schema": {"$ref":
    "#/components/schemas/SchemaVersion"}}}},
   "SchemaById": {"description": "A schema", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "object", "required": ["schema"], "properties": {"schema": {"type":
    "string"}, "schemaType": {"type": "string"}}}}}},
   "SchemaText": {"description": "The text of a schema", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {}}, "text/plain": {"schema": {"type": "string"}}}},
   "SchemaUses": {"description": "Where the schema is used", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "array", "items": {"type": "object", "required": ["subject", "version"],
    "properties": {"subject": {"type": "string"}, "version": {"type": "integer"}}}}}}},
   "Compatibility": {"description": "Whether it fits, and with verbose=true why not", "headers":
    {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}, "content":
    {"application/vnd.schemaregistry.v1+json": {"schema": {"type": "object", "required":
    ["is_compatible"], "properties": {"is_compatible": {"type": "boolean"}, "messages": {"type":
    "array", "items": {"type": "string"}}}}}}},
   "Compatibilities": {"description": "The rule", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "object", "required": ["compatibilityLevel"], "properties":
    {"compatibilityLevel": {"type": "string"}}}}}},
   "CompatibilitySet": {"description": "The rule that holds now", "headers": {"X-Request-Id":
    {"$ref": "#/components/headers/X-Request-Id"}}, "content":
    {"application/vnd.schemaregistry.v1+json": {"schema": {"type": "object", "required":
    ["compatibility"], "properties": {"compatibility": {"$ref": "#/components/schemas/Level"}}}}}},
   "Mode": {"description": "The mode", "headers": {"X-Request-Id": {"$ref":
    "#/components/headers/X-Request-Id"}}, "content": {"application/vnd.schemaregistry.v1+json":
    {"schema": {"type": "object", "required": ["mode"], "properties": {"mode": {"type":
    "string"}}}}}}
  },
  "schemas": {
   "Problem": {"type": "object", "required": ["type", "title", "status", "code", "detail"],
    "properties": {"type": {"type": "string", "format": "uri", "examples":
    ["urn:millrace:error:MR1201"]}, "title": {"type": "string"}, "status": {"type": "integer",
    "minimum": 400, "maximum": 599}, "code": {"type": "string", "pattern": "^MR[0-9]{4}$"},
    "detail": {"type": "string"}, "hint": {"type": "string"}, "line": {"type": "integer",
    "minimum": 1}, "column": {"type": "integer", "minimum": 0}, "instance": {"type": "string",
    "description": "the request's id, as in the header X-Request-Id"}}, "description":
    "RFC 9457; the codes are in docs/reference/errors.md", "examples": [{"type":
    "urn:millrace:error:MR1201", "title": "Not Found", "status": 404, "code": "MR1201", "detail":
    "stream trips does not exist", "hint": "GET /v1/streams lists what there is"}]},
   "Position": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0},
    "description": "the end offset of each partition", "examples": [{"0": 17, "1": 4}]},
   "Column": {"type": "object", "required": ["name", "type"], "properties": {"name": {"type":
    "string"}, "type": {"type": "string", "description": "a type of SQL", "examples": ["BIGINT"]}}},
   "Rows": {"type": "array", "items": {"type": "array", "description":
    "a value per column: integers beyond 2^53 and decimals are text"}},
   "StreamCoverage": {"type": "object", "required": ["cut", "delta_end"], "properties": {"cut":
    {"$ref": "#/components/schemas/Position"}, "delta_end": {"$ref":
    "#/components/schemas/Position"}}},
   "Coverage": {"type": "object", "required": ["generation", "quarantined"], "properties":
    {"generation": {"type": "integer"}, "cut": {"$ref": "#/components/schemas/Position"},
    "delta_end": {"$ref": "#/components/schemas/Position"}, "streams": {"type": "object",
    "additionalProperties": {"$ref": "#/components/schemas/StreamCoverage"}}, "quarantined":
    {"type": "integer", "minimum": 0}}, "description":
    "up to where an answer goes: the generation ends at cut, the delta at delta_end; by stream where there are several"},
   "Replacement": {"type": "object", "required": ["state", "built", "error", "sql"], "properties":
    {"state": {"type": "string"}, "built": {"type": "number"}, "error": {"anyOf": [{"$ref":
    "#/components/schemas/Trouble"}, {"type": "null"}]}, "sql": {"type": "string"}}},
   "Trouble": {"type": "object", "required": ["code", "detail"], "properties": {"code": {"type":
    "string"}, "detail": {"type": "string"}}},
   "RejectedRecord": {"type": "object", "required": ["line", "code", "reason"], "properties":
    {"line": {"type": "integer", "minimum": 1}, "code": {"type": "string"}, "reason": {"type":
    "string"}}},
   "EventsAnswer": {"type": "object", "required": ["accepted", "duplicates", "rejected",
    "rejected_count", "position"], "properties": {"accepted": {"type": "integer"}, "duplicates":
    {"type": "integer"}, "rejected": {"type": "array", "items": {"$ref":
    "#/components/schemas/RejectedRecord"}}, "rejected_count": {"type": "integer"}, "position":
    {"$ref": "#/components/schemas/Position"}}, "examples": [{"accepted": 2, "duplicates": 0,
    "rejected": [{"line": 3, "code": "MR2003", "reason": "column minutes: \"x\" is not a DOUBLE"}],
    "rejected_count": 1, "position": {"0": 2}}]},
   "StoredEvent": {"type": "object", "required": ["partition", "offset", "arrival", "event"],
    "properties": {"partition": {"type": "integer"}, "offset": {"type": "integer"}, "arrival":
    {"type": "string", "format": "date-time"}, "event": {"type": "object"}}},
   "ViewRows": {"type": "object", "required": ["columns", "rows", "coverage"], "properties":
    {"columns": {"type": "array", "items": {"$ref": "#/components/schemas/Column"}}, "rows":
    {"$ref": "#/components/schemas/Rows"}, "coverage": {"$ref": "#/components/schemas/Coverage"},
    "replacement": {"$ref": "#/components/schemas/Replacement"}, "truncated": {"type": "boolean"}},
    "examples": [{"columns": [{"name": "city", "type": "VARCHAR"}, {"name": "trips", "type":
    "BIGINT"}], "rows": [["Lima", 1]], "coverage": {"generation": 1, "cut": {"0": 1}, "delta_end":
    {"0": 2}, "quarantined": 0}}]},
   "FoundRows": {"type": "object", "required": ["columns", "rows", "coverage"], "properties":
    {"columns": {"type": "array", "items": {"$ref": "#/components/schemas/Column"}}, "rows":
    {"type": "array", "items": {"anyOf": [{"type": "array"}, {"type": "null"}]}}, "coverage":
    {"$ref": "#/components/schemas/Coverage"}}, "examples": [{"columns": [{"name": "city", "type":
    "VARCHAR"}, {"name": "trips", "type": "BIGINT"}], "rows": [["Lima", 1], null], "coverage":
    {"generation": 1, "cut": {"0": 1}, "delta_end": {"0": 2}, "quarantined": 0}}]},
   "StatementAnswer": {"type": "object", "required": ["command", "columns", "rows"], "properties":
    {"command": {"type": "string"}, "columns": {"type": "array", "items": {"$ref":
    "#/components/schemas/Column"}}, "rows": {"$ref": "#/components/schemas/Rows"}, "truncated":
    {"type": "boolean"}, "coverage": {"$ref": "#/components/schemas/Coverage"}, "sources": {"type":
    "object", "additionalProperties": {"$ref": "#/components/schemas/Coverage"}}}, "examples":
    [{"command": "CREATE STREAM", "columns": [], "rows": []}]},
   "StreamList": {"type": "object", "required": ["streams"], "properties": {"streams": {"type":
    "array", "items": {"type": "object", "required": ["name", "columns", "partitions", "position",
    "lake", "tail_events", "events_per_second", "quarantined", "sql"], "properties": {"name":
    {"type": "string"}, "columns": {"type": "array", "items": {"$ref":
    "#/components/schemas/Column"}}, "time": {"type": "string"}, "key": {"type": "string"},
    "partitions": {"type": "integer"}, "position": {"$ref": "#/components/schemas/Position"},
    "lake": {"type": "object", "required": ["commit", "position"], "properties": {"commit":
    {"type": "integer"}, "position": {"$ref": "#/components/schemas/Position"}}}, "tail_events":
    {"type": "integer"}, "events_per_second": {"type": "number"}, "quarantined": {"type":
    "integer"}, "sql": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}}}},
   "ViewList": {"type": "object", "required": ["views"], "properties": {"views": {"type": "array",
    "items": {"type": "object", "required": ["name", "kind", "state", "sql"], "properties":
    {"name": {"type": "string"}, "kind": {"enum": ["view", "materialized"]}, "state": {"enum":
    ["building", "live", "failed"]}, "streams": {"type": "array", "items": {"type": "string"}},
    "columns": {"type": "array", "items": {"$ref": "#/components/schemas/Column"}}, "native":
    {"type": "boolean"}, "groups_in_generation": {"type": "integer"}, "groups_in_delta": {"type":
    "integer"}, "delta_events": {"type": "integer"}, "delta_bytes": {"type": "integer"},
    "events_per_second": {"type": "number"}, "coverage": {"$ref": "#/components/schemas/Coverage"},
    "built": {"type": "number"}, "replacement": {"$ref": "#/components/schemas/Replacement"},
    "sql": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}}}},
   "Run": {"type": "object", "required": ["run", "full", "reason", "started", "seconds",
    "generations", "drift_rows", "error"], "properties": {"run": {"type": "integer"}, "full":
    {"type": "boolean"}, "reason": {"type": "string"}, "started": {"type": "string"}, "seconds":
    {"type": "number"}, "generations": {"type": "integer"}, "drift_rows": {"type": "integer"},
    "error": {"anyOf": [{"$ref": "#/components/schemas/Trouble"}, {"type": "null"}]}}},
   "BatchState": {"type": "object", "required": ["state", "runs", "failures", "drift_rows",
    "current", "last", "generations"], "properties": {"state": {"enum": ["idle", "pending",
    "running"]}, "runs": {"type": "integer"}, "failures": {"type": "integer"}, "drift_rows":
    {"type": "integer"}, "current": {"anyOf": [{"type": "object", "required": ["run", "full",
    "reason", "view", "rows_done", "rows_total"], "properties": {"run": {"type": "integer"},
    "full": {"type": "boolean"}, "reason": {"type": "string"}, "view": {"type": "string"},
    "rows_done": {"type": "integer"}, "rows_total": {"type": "integer"}, "rows_per_second":
    {"type": "number"}, "seconds_left": {"type": "number"}}}, {"type": "null"}]}, "last": {"type":
    "array", "items": {"$ref": "#/components/schemas/Run"}}, "generations": {"type": "array",
    "items": {"type": "object", "required": ["view", "generation", "events", "groups", "bytes"],
    "properties": {"view": {"type": "string"}, "generation": {"type": "integer"}, "cut": {"$ref":
    "#/components/schemas/Position"}, "cuts": {"type": "object", "additionalProperties": {"$ref":
    "#/components/schemas/Position"}}, "events": {"type": "integer"}, "groups": {"type":
    "integer"}, "bytes": {"type": "integer"}, "full": {"type": "boolean"}, "drift_rows": {"type":
    "integer"}, "seconds": {"type": "number"}, "created": {"type": "string"}, "drift": {"type":
    "array", "items": {"type": "object", "required": ["key", "batch", "speed"], "properties":
    {"key": {"type": "string"}, "batch": {"type": "string"}, "speed": {"type": "string"}}}}}}}}},
   "RegistryProblem": {"type": "object", "required": ["error_code", "message"], "properties":
    {"error_code": {"type": "integer"}, "message": {"type": "string"}, "code": {"type": "string"}},
    "examples": [{"error_code": 40401, "message": "Subject 'trips-value' not found.", "code":
    "MR1210"}]},
   "NewSchema": {"type": "object", "required": ["schema"], "properties": {"schema": {"type":
    "string"}, "schemaType": {"enum": ["AVRO", "PROTOBUF", "JSON", null], "default": "AVRO"},
    "references": {"type": "array", "maxItems": 0}}, "examples": [{"schema":
    "{\"type\":\"record\",\"name\":\"Trip\",\"fields\":[{\"name\":\"city\",\"type\":\"string\"}]}"}]},
   "SchemaVersion": {"type": "object", "required": ["subject", "version", "id", "schema"],
    "properties": {"subject": {"type": "string"}, "version": {"type": "integer"}, "id": {"type":
    "integer"}, "schema": {"type": "string"}, "schemaType": {"type": "string"}}},
   "Level": {"enum": ["BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL",
    "FULL_TRANSITIVE", "NONE"]}
  }
 }
})json";
}

}  // namespace millrace::endpoint
