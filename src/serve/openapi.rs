//! The OpenAPI document, made from the table of routes, so that it cannot say anything else.

use hyper::Method;
use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ArrayBuilder, ComponentsBuilder, ContentBuilder, Info, ObjectBuilder, OpenApi, OpenApiBuilder,
    PathsBuilder, Ref, RefOr, Required, ResponseBuilder, Type,
};

use super::query::{Kind, Parameter};
use super::router::{Access, ROUTES, Route};
use super::view::ErrorBody;

/// Named shapes.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// The name of the credential in the document.
const BEARER: &str = "token";

/// Adds a shape with all that it is made of, and gives its name: the `answer` of a route.
pub(super) fn shape<T: ToSchema>(schemas: &mut Schemas) -> String {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), T::schema()));
    T::name().into_owned()
}

/// The document.
pub(super) fn document() -> OpenApi {
    let mut schemas = Schemas::new();
    let error = shape::<ErrorBody>(&mut schemas);
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        let (method, status) = match route.method {
            Method::GET => (HttpMethod::Get, "200"),
            // The deletion is stored, and applied in its turn.
            Method::DELETE => (HttpMethod::Delete, "202"),
            _ => (HttpMethod::Post, "200"),
        };
        let answer = route.answer.map(|answer| answer(&mut schemas));
        let operation = operation(route, (status, answer.as_deref()), &error);
        paths = paths.path(route.pattern.replace("{*", "{"), PathItem::new(method, operation));
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build();
    OpenApiBuilder::new()
        .info(Info::new("Streamgauge", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(components))
        .build()
}

/// `answer` is the status of a good answer, and the name of its shape.
fn operation(route: &Route, answer: (&str, Option<&str>), error: &str) -> Operation {
    let content =
        |name: &str| ContentBuilder::new().schema(Some(Ref::from_schema_name(name))).build();
    let mut good = ResponseBuilder::new().description(route.about);
    if let Some(name) = answer.1 {
        good = good.content("application/json", content(name));
    }
    for media_type in route.texts {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        good = good.content(*media_type, ContentBuilder::new().schema(Some(text)).build());
    }
    let bad = ResponseBuilder::new()
        .description("What is wrong, and what is allowed.")
        .content("application/json", content(error));
    let mut operation = OperationBuilder::new()
        .summary(Some(route.about))
        .response(answer.0, good.build())
        .response("default", bad.build());
    if let Some((_, open)) = route.pattern.split_once('{') {
        let name = open.split('}').next().unwrap_or(open).trim_start_matches('*');
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(schema));
        operation = operation.parameter(parameter.build());
    }
    for parameter in route.parameters {
        operation = operation.parameter(query_parameter(parameter));
    }
    match route.access {
        Access::Open | Access::OpenInPart => operation.build(),
        Access::LoopbackOrKnown | Access::Known => {
            let needed = SecurityRequirement::new(BEARER, Vec::<String>::new());
            operation.securities(Some(vec![needed])).build()
        }
    }
}

fn query_parameter(parameter: &Parameter) -> utoipa::openapi::path::Parameter {
    let of_type = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let schema = match parameter.kind {
        Kind::Text | Kind::Time => of_type(Type::String),
        Kind::List => {
            let texts = ArrayBuilder::new().items(of_type(Type::String));
            return of_schema(parameter, texts.build());
        }
        Kind::Whole(from, to) => of_type(Type::Integer).minimum(Some(from)).maximum(Some(to)),
        Kind::Number => of_type(Type::Number),
        Kind::OneOf(words) => of_type(Type::String).enum_values(Some(words.iter().copied())),
        Kind::Switch => of_type(Type::Boolean),
    };
    of_schema(parameter, schema.build())
}

fn of_schema(
    parameter: &Parameter,
    schema: impl Into<RefOr<Schema>>,
) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(parameter.about))
        .schema(Some(schema))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_exactly_the_routes() {
        let document = serde_json::to_value(document()).unwrap();
        let mut listed: Vec<(String, String)> = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                listed.push((method.to_uppercase(), path.clone()));
            }
        }
        let mut routes: Vec<_> = ROUTES
            .iter()
            .map(|route| (route.method.to_string(), route.pattern.replace("{*", "{")))
            .collect();
        listed.sort();
        routes.sort();
        assert_eq!(listed, routes);
    }

    #[test]
    fn a_deletion_is_accepted_and_everything_else_is_answered() {
        let document = serde_json::to_value(document()).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let good = if method == "delete" { "202" } else { "200" };
                assert!(operation["responses"][good].is_object(), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_shape_that_is_mentioned_is_there() {
        let text = serde_json::to_string(&document()).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mentioned = text.split("#/components/schemas/").skip(1);
        for name in mentioned.map(|rest| rest.split('"').next().unwrap()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn readings_are_told_as_they_are_sent() {
        let document = serde_json::to_value(document()).unwrap();
        let answer = &document["paths"]["/api/sensors/{id}/readings"]["get"]["responses"]["200"];
        let types: Vec<&String> = answer["content"].as_object().unwrap().keys().collect();
        assert_eq!(types, ["application/json", "application/x-ndjson", "text/csv"]);
        let schemas = &document["components"]["schemas"];
        let (list, row) = (&schemas["ReadingList"], &schemas["ReadingRow"]);
        let is_required = |shape: &serde_json::Value, name: &str| {
            shape["required"].as_array().unwrap().iter().any(|it| it == name)
        };
        assert!(is_required(list, "next") && is_required(row, "value"));
        assert!(!is_required(list, "percentiles"));
        let null = serde_json::json!(["number", "null"]);
        assert_eq!(row["properties"]["value"]["type"], null);
        let percentiles = &list["properties"]["percentiles"];
        assert_eq!(percentiles["additionalProperties"]["additionalProperties"]["type"], null);
        assert!(schemas.get("BTreeMap").is_none(), "a shape is named for what it is");
    }

    #[test]
    fn a_list_is_an_array_of_texts() {
        let document = serde_json::to_value(document()).unwrap();
        let parameters = &document["paths"]["/api/stream"]["get"]["parameters"];
        let sensors = parameters.as_array().unwrap().iter().find(|it| it["name"] == "sensors");
        let schema = &sensors.unwrap()["schema"];
        assert_eq!(
            (&schema["type"], &schema["items"]["type"]),
            (&"array".into(), &"string".into())
        );
    }

    #[test]
    fn parameters_say_what_they_are() {
        for route in ROUTES {
            for parameter in route.parameters {
                assert!(parameter.about.ends_with('.'), "{} {}", route.pattern, parameter.name);
            }
        }
    }
}
