import Base
import HTTPTypes
import NIOCore

// What the API says of itself.

extension CallAPI {
  var gatewayRoutes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/openapi.json", summary: "This description", isOpen: true, answer: "OpenAPI 3.1",
        hasTag: true, handle: { [self] _ in .json(openAPI) }),
      APIRoute(
        method: .get, path: "/docs", summary: "This description, for people", isOpen: true, answer: "A page",
        answerTypes: ["text/html"],
        handle: { [self] _ in
          .bytes(ByteBuffer(string: ReferencePage.html(routeTable.routes)), type: "text/html; charset=utf-8")
        }),
    ]
  }

  /// OpenAPI 3.1, made of the routes that serve.
  var openAPI: Value { OpenAPIDocument.make(routeTable.routes) }
}
