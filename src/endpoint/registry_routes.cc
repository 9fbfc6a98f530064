// /subjects, /schemas, /config, /mode, /compatibility: the usual subset of Confluent's Schema
// Registry REST API, over catalog::SchemaRegistry. Errors have that API's form and codes, so that
// its clients understand them; "code" is ours beside it. Whatever may wait for the disk runs on the
// pool.
#include <boost/json.hpp>
#include <charconv>

#include "endpoint/api_routes.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {

namespace {

namespace json = boost::json;
using catalog::SchemaRegistry;

constexpr std::string_view kMediaType = "application/vnd.schemaregistry.v1+json";

HttpResponse answer(const json::value& body) {
  HttpResponse response;
  response.content_type = kMediaType;
  response.body = json::serialize(body);
  return response;
}

/// The codes of the API: the HTTP status is their first three digits.
int registry_code(const Error& error, int bad_request) {
  if (error.id == error_id::kSubjectNotFound) return 40401;
  if (error.id == error_id::kVersionNotFound) return 40402;
  if (error.id == error_id::kSchemaNotFound) return 40403;
  if (error.id == error_id::kInUse) return 40405;
  if (error.id == error_id::kBadSchema) return 42201;
  if (error.id == error_id::kReadOnly) return 42205;
  if (error.id == error_id::kIncompatible) return 409;
  if (error.id == error_id::kBadRequest || error.id == error_id::kBadName) return bad_request;
  return http_status(error.code) == 400 ? 422 : http_status(error.code);
}

/// `bad_request`: what the route says of a parameter that is wrong.
HttpResponse refusal(const Error& error, int bad_request = 42202) {
  const int code = registry_code(error, bad_request);
  HttpResponse response =
      answer(json::object{{"error_code", code}, {"message", error.message}, {"code", error.id}});
  response.status = code >= 1000 ? code / 100 : code;
  return response;
}

std::unexpected<Error> bad_body(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadSchema, "the body: {}", why);
}

Result<json::object> object_of(const HttpRequest& request) {
  boost::system::error_code failed;
  auto value = json::parse(request.body.view(), failed);
  if (failed) return bad_body("it is not JSON: " + failed.message());
  if (!value.is_object()) return bad_body("it is not an object");
  return std::move(value.get_object());
}

Result<SchemaRegistry::NewSchema> schema_of(const HttpRequest& request) {
  MR_TRY(const auto body, object_of(request));
  SchemaRegistry::NewSchema out;
  const auto* text = body.if_contains("schema");
  if (text == nullptr || !text->is_string()) return bad_body("it has no text field 'schema'");
  out.text = std::string(text->get_string());
  if (const auto* type = body.if_contains("schemaType"); type != nullptr && !type->is_null()) {
    if (!type->is_string()) return bad_body("schemaType is no text");
    out.type = std::string(type->get_string());
  }
  const auto* references = body.if_contains("references");
  if (references != nullptr && references->is_array() && !references->get_array().empty())
    return bad_body("references to other schemas are not supported: send one whole schema");
  return out;
}

Result<std::string> setting_of(const HttpRequest& request, std::string_view field) {
  MR_TRY(const auto body, object_of(request));
  const auto* value = body.if_contains(field);
  if (value == nullptr || !value->is_string())
    return bad_body(fmt::format("it has no text field '{}'", field));
  return std::string(value->get_string());
}

bool is_true(const HttpRequest& request, std::string_view parameter) {
  return request.query_value(parameter).value_or("") == "true";
}

json::object version_object(const catalog::RegisteredVersion& version) {
  json::object out{{"subject", version.subject},
                   {"version", version.version},
                   {"id", version.schema.id},
                   {"schema", version.schema.text}};
  // AVRO is what clients take where nothing is said; old ones know nothing else.
  if (version.schema.type != "AVRO") out["schemaType"] = version.schema.type;
  return out;
}

/// The text of a schema alone, in its own type.
HttpResponse raw_schema(const catalog::SchemaRecord& schema) {
  HttpResponse response;
  response.content_type = schema.type == "PROTOBUF" ? "text/plain; charset=utf-8" : kMediaType;
  response.body = schema.text;
  return response;
}

Result<std::uint32_t> id_of(const HttpRequest& request) {
  const auto text = request.param("id");
  std::uint32_t id = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (code == std::errc() && end == text.data() + text.size()) return id;
  return fail(ErrorCode::kNotFound, error_id::kSchemaNotFound, "Schema {} not found", text);
}

class Routes {
 public:
  Routes(HttpRouter& router, const Services& services)
      : router_(router), registry_(services.registry), pool_(services.pool) {}

  void add() {
    add_subjects();
    add_schemas();
    add_compatibility();
    add_setting("/config", "compatibility", "compatibilityLevel", 42203,
                &SchemaRegistry::compatibility, &SchemaRegistry::set_compatibility);
    add_setting("/mode", "mode", "mode", 42204, &SchemaRegistry::mode, &SchemaRegistry::set_mode);
  }

 private:
  using Work = std::function<HttpResponse(SchemaRegistry&, const HttpRequest&)>;

  void add_route(std::string method, std::string pattern, Work work,
                 std::vector<std::string> query = {}) {
    // Whoever reads or writes events needs the schemas; registering one is for administrators.
    const auto access = method == "GET" ? RouteAccess::known() : RouteAccess();
    router_.add(std::move(method), std::move(pattern),
                [&registry = registry_, &pool = pool_, work = std::move(work)](
                    HttpRequest request, Responder responder) {
                  auto shared = std::make_shared<HttpRequest>(std::move(request));
                  answer_on_pool(pool, shared->share, std::move(responder),
                                 [&registry, work, shared] { return work(registry, *shared); });
                },
                {.body_bytes_max = std::uint64_t{4} << 20,
                 .media_types = {"application/vnd.schemaregistry.v1+json",
                                 "application/vnd.schemaregistry+json", "application/json",
                                 "application/octet-stream"},
                 .gzip_answer = true,
                 .query = std::move(query),
                 .access = access});
  }

  void add_subjects() {
    add_route(
        "GET", "/subjects",
        [](SchemaRegistry& registry, const HttpRequest& request) {
          json::array out;
          for (const auto& name : registry.subjects(
                   request.query_value("subjectPrefix").value_or(""), is_true(request, "deleted")))
            out.emplace_back(name);
          return answer(out);
        },
        {"subjectPrefix", "deleted"});
    add_route("POST", "/subjects/{subject}",
              [](SchemaRegistry& registry, const HttpRequest& request) {
                const auto schema = schema_of(request);
                if (!schema) return refusal(schema.error());
                const auto found =
                    registry.find(request.param("subject"), *schema, is_true(request, "deleted"));
                return found ? answer(version_object(*found)) : refusal(found.error());
              },
              {"deleted"});
    add_route("GET", "/subjects/{subject}/versions",
              [](SchemaRegistry& registry, const HttpRequest& request) {
                const auto versions =
                    registry.versions(request.param("subject"), is_true(request, "deleted"));
                if (!versions) return refusal(versions.error());
                return answer(json::array(versions->begin(), versions->end()));
              },
              {"deleted"});
    add_route("POST", "/subjects/{subject}/versions",
              [](SchemaRegistry& registry, const HttpRequest& request) {
                const auto schema = schema_of(request);
                if (!schema) return refusal(schema.error());
                const auto id = registry.add(request.param("subject"), *schema);
                return id ? answer(json::object{{"id", *id}}) : refusal(id.error(), 42208);
              });
    for (const bool raw : {false, true}) {
      add_route(
          "GET", std::string("/subjects/{subject}/versions/{version}") + (raw ? "/schema" : ""),
          [raw](SchemaRegistry& registry, const HttpRequest& request) {
            const auto found = registry.version(request.param("subject"), request.param("version"),
                                                is_true(request, "deleted"));
            if (!found) return refusal(found.error());
            return raw ? raw_schema(found->schema) : answer(version_object(*found));
          },
          {"deleted"});
    }
    add_route("DELETE", "/subjects/{subject}",
              [](SchemaRegistry& registry, const HttpRequest& request) {
                const auto gone = registry.remove(request.param("subject"), std::nullopt,
                                                  is_true(request, "permanent"));
                if (!gone) return refusal(gone.error());
                return answer(json::array(gone->begin(), gone->end()));
              },
              {"permanent"});
    add_route("DELETE", "/subjects/{subject}/versions/{version}",
              [](SchemaRegistry& registry, const HttpRequest& request) {
                const auto gone =
                    registry.remove(request.param("subject"), request.param("version"),
                                    is_true(request, "permanent"));
                if (!gone) return refusal(gone.error());
                return answer(gone->empty() ? json::value(nullptr) : json::value(gone->front()));
              },
              {"permanent"});
  }

  void add_schemas() {
    add_route("GET", "/schemas/types", [](SchemaRegistry&, const HttpRequest&) {
      return answer(json::array{"AVRO", "JSON", "PROTOBUF"});
    });
    for (const bool raw : {false, true}) {
      add_route("GET", std::string("/schemas/ids/{id}") + (raw ? "/schema" : ""),
                [raw](SchemaRegistry& registry, const HttpRequest& request) {
                  const auto id = id_of(request);
                  if (!id) return refusal(id.error());
                  const auto found = registry.schema_record(*id);
                  if (!found) return refusal(found.error());
                  if (raw) return raw_schema(*found);
                  json::object out{{"schema", found->text}};
                  if (found->type != "AVRO") out["schemaType"] = found->type;
                  return answer(out);
                });
    }
    for (const bool with_versions : {false, true}) {
      add_route("GET",
                std::string("/schemas/ids/{id}/") + (with_versions ? "versions" : "subjects"),
                [with_versions](SchemaRegistry& registry, const HttpRequest& request) {
                  const auto id = id_of(request);
                  if (!id) return refusal(id.error());
                  const auto uses = registry.uses(*id);
                  if (!uses) return refusal(uses.error());
                  json::array out;
                  for (const auto& [subject, version] : *uses) {
                    if (with_versions) {
                      out.push_back(json::object{{"subject", subject}, {"version", version}});
                    } else {
                      out.emplace_back(subject);
                    }
                  }
                  return answer(out);
                });
    }
  }

  void add_compatibility() {
    const auto check = [](SchemaRegistry& registry, const HttpRequest& request,
                          std::optional<std::string_view> version) {
      const auto schema = schema_of(request);
      if (!schema) return refusal(schema.error());
      const auto faults = registry.incompatibilities(request.param("subject"), *schema, version);
      if (!faults) return refusal(faults.error());
      json::object out{{"is_compatible", faults->empty()}};
      if (is_true(request, "verbose")) {
        json::array messages;
        for (const auto& fault : *faults) messages.emplace_back(fault);
        out["messages"] = std::move(messages);
      }
      return answer(out);
    };
    add_route("POST", "/compatibility/subjects/{subject}/versions",
              [check](SchemaRegistry& registry, const HttpRequest& request) {
                return check(registry, request, std::nullopt);
              },
              {"verbose"});
    add_route("POST", "/compatibility/subjects/{subject}/versions/{version}",
              [check](SchemaRegistry& registry, const HttpRequest& request) {
                return check(registry, request, request.param("version"));
              },
              {"verbose"});
  }

  using Get = std::optional<std::string> (SchemaRegistry::*)(std::string_view) const;
  using Set = Status (SchemaRegistry::*)(std::string_view, std::string_view);

  /// Of the whole, and of a subject.
  void add_setting(const std::string& path, std::string field, std::string got, int bad_value,
                   Get get, Set set) {
    for (const auto& pattern : {path, path + "/{subject}"}) {
      add_route(
          "GET", pattern,
          [=](SchemaRegistry& registry, const HttpRequest& request) {
            const auto subject = request.param("subject");
            auto value = (registry.*get)(subject);
            if (!value && is_true(request, "defaultToGlobal")) value = (registry.*get)("");
            if (value) return answer(json::object{{got, *value}});
            const int code = field == "mode" ? 40409 : 40408;
            HttpResponse response = answer(json::object{
                {"error_code", code},
                {"message", fmt::format("Subject '{}' does not have subject-level {} configured",
                                        subject, field)},
                {"code", error_id::kSubjectNotFound}});
            response.status = 404;
            return response;
          },
          {"defaultToGlobal"});
      add_route("PUT", pattern, [=](SchemaRegistry& registry, const HttpRequest& request) {
        const auto value = setting_of(request, field);
        if (!value) return refusal(value.error());
        const auto status = (registry.*set)(request.param("subject"), *value);
        return status ? answer(json::object{{field, *value}}) : refusal(status.error(), bad_value);
      });
      add_route("DELETE", pattern, [=](SchemaRegistry& registry, const HttpRequest& request) {
        const auto subject = request.param("subject");
        const auto before = (registry.*get)(subject);
        const auto status = (registry.*set)(subject, "");
        if (!status) return refusal(status.error(), bad_value);
        return answer(json::object{{got, before.value_or("")}});
      });
    }
  }

  HttpRouter& router_;
  SchemaRegistry& registry_;
  runtime::WorkerPool& pool_;
};

}  // namespace

void add_registry_routes(HttpRouter& router, const Services& services) {
  Routes(router, services).add();
}

}  // namespace millrace::endpoint
