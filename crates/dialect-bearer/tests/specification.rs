//! The specification names every route.

use tolmach_dialect_bearer::routes;

const SPECIFICATION: &str = include_str!("../../../protocols/bearer/SPEC.md");

#[test]
fn every_route_is_named() {
    for (method, path) in routes() {
        let path = path.strip_prefix("/api/v1").expect("every path begins with it");
        let named = SPECIFICATION.contains(&format!("`{method} {path}`"));
        let socket = method == "GET" && ["/chat/{id}", "/group/{id}", "/main"].contains(&path);
        assert!(
            named || (socket && SPECIFICATION.contains(&format!("`{path}`"))),
            "{method} {path}"
        );
    }
}
