// GET /mqtt: MQTT over a WebSocket. Whoever connects says who it is in the CONNECT packet, as over
// TCP, so the route itself is open.
#include "endpoint/api_routes.h"

namespace millrace::endpoint {

void add_mqtt_route(HttpRouter& router, const Services& services) {
  if (!services.mqtt_web_socket) return;
  router.add("GET", "/mqtt",
             [answer = services.mqtt_web_socket](const HttpRequest& request, Responder responder) {
               responder.respond(answer(request));
             },
             {.access = RouteAccess::open()});
}

}  // namespace millrace::endpoint
