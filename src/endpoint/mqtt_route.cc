// GET /mqtt: MQTT over a WebSocket. Whoever connects says who it is in the CONNECT packet, as over
// TCP, so the route itself is open.
#include "endpoint/api_routes.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {

void add_mqtt_route(HttpRouter& router, const Services& services) {
  router.add("GET", "/mqtt",
             [answer = services.mqtt_web_socket](const HttpRequest& request, Responder responder) {
               if (answer) {
                 responder.respond(answer(request));
                 return;
               }
               responder.respond(problem(Error{.code = ErrorCode::kNotFound,
                                               .id = std::string(error_id::kNoSuchRoute),
                                               .message = "MQTT is not served here",
                                               .hint = {},
                                               .place = {}}));
             },
             {.access = RouteAccess::open()});
}

}  // namespace millrace::endpoint
