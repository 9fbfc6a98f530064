#include "endpoint/api_routes.h"

#include "endpoint/problem.h"

namespace millrace::endpoint {

HttpRouter api_routes(const Services& services) {
  HttpRouter router;
  add_event_routes(router, services);
  add_stream_routes(router, services);
  add_view_routes(router, services);
  add_change_routes(router, services);
  add_statement_routes(router, services);
  add_registry_routes(router, services);
  add_batch_routes(router, services);
  add_operation_routes(router, services);
  return router;
}

void answer_on_pool(runtime::WorkerPool& pool, Responder responder,
                    std::function<HttpResponse()> work) {
  // std::function copies what it holds, a Responder is one of a kind.
  auto shared = std::make_shared<Responder>(std::move(responder));
  if (pool.post([shared, work = std::move(work)] { shared->respond(work()); })) return;
  shared->respond(problem(Error{.code = ErrorCode::kResourceExhausted,
                                .id = std::string(error_id::kBusy),
                                .message = "too many queries wait already",
                                .hint = "send it again in a moment",
                                .place = {}}));
}

}  // namespace millrace::endpoint
