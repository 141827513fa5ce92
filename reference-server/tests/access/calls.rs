//! A good call of a route, made from its description.

use std::collections::BTreeMap;

use reqwest::multipart::Form;
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use crate::described::{Route, description};
use crate::harness::{Api, Reply};
use crate::objects::Objects;

/// A call, but for who makes it.
pub(crate) struct Call {
    method: Method,
    pub(crate) path: String,
    body: Option<Body>,
    /// Whether path or body name an object that is there.
    pub(crate) names_an_object: bool,
}

enum Body {
    Json(Value),
    Text(&'static str, String),
    Form(BTreeMap<String, String>),
    Multipart(BTreeMap<String, String>),
}

impl Call {
    /// A call that asks for these objects where it has to name any.
    pub(crate) async fn of(route: &Route, objects: &Objects<'_>) -> Self {
        let mut writer = Writer {
            schemas: description()["components"]["schemas"].take(),
            objects,
            names_an_object: false,
        };
        let path = writer.path(&route.path).await;
        let body = writer
            .body(&route.operation["requestBody"]["content"])
            .await;
        Self {
            method: route.method.clone(),
            path,
            body,
            names_an_object: writer.names_an_object,
        }
    }

    /// The answer to it when `api` makes it.
    pub(crate) async fn by(&self, api: &Api) -> Reply {
        api.send(self.request(api)).await
    }

    pub(crate) fn request(&self, api: &Api) -> RequestBuilder {
        let request = api.request(self.method.clone(), &self.path);
        match &self.body {
            None => request,
            Some(Body::Json(value)) => request.json(value),
            Some(Body::Text(media_type, text)) => request
                .header("content-type", *media_type)
                .body(text.clone()),
            Some(Body::Form(fields)) => request.form(fields),
            Some(Body::Multipart(parts)) => {
                let parts = parts.iter();
                let form = parts.fold(Form::new(), |form, (name, text)| {
                    form.text(name.clone(), text.clone())
                });
                request.multipart(form)
            }
        }
    }

    /// The call with a query.
    pub(crate) fn with_query(&self, name: &str, value: &str) -> Self {
        Self {
            method: self.method.clone(),
            path: format!("{}?{name}={value}", self.path),
            body: None,
            names_an_object: self.names_an_object,
        }
    }
}

struct Writer<'a> {
    schemas: Value,
    objects: &'a Objects<'a>,
    names_an_object: bool,
}

impl Writer<'_> {
    async fn path(&mut self, template: &str) -> String {
        let mut path = String::new();
        let mut place = String::new();
        for segment in template.split('/').skip(1) {
            place = format!("{place}/{segment}");
            let value = if segment.starts_with('{') {
                self.names_an_object = true;
                self.objects.parameter(&place).await
            } else {
                segment.to_owned()
            };
            path = format!("{path}/{value}");
        }
        path
    }

    async fn body(&mut self, content: &Value) -> Option<Body> {
        let (media_type, content) = content.as_object()?.iter().next()?;
        let value = self.value("", &content["schema"]).await;
        let fields = || {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let members = value.as_object().expect("an object").iter();
            members
                .map(|(name, value)| (name.clone(), text(value)))
                .collect()
        };
        Some(match media_type.as_str() {
            "application/json" => Body::Json(value),
            "text/csv" => Body::Text("text/csv", value.as_str().expect("text").to_owned()),
            "application/x-www-form-urlencoded" => Body::Form(fields()),
            "multipart/form-data" => Body::Multipart(fields()),
            other => panic!("say in reference-server/tests/access/calls.rs how to send {other}"),
        })
    }

    /// Something that fits the schema: of an object, what is required.
    async fn value(&mut self, name: &str, schema: &Value) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let (_, name) = reference.rsplit_once('/').expect("a reference");
            let schema = self.schemas[name].clone();
            return Box::pin(self.value(name, &schema)).await;
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        match schema["type"].as_str() {
            Some("object") => Box::pin(self.object(name, schema)).await,
            Some("array") => json!([Box::pin(self.value(name, &schema["items"])).await]),
            Some("boolean") => json!(true),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
            _ => schema.get("example").cloned().unwrap_or(json!("text")),
        }
    }

    async fn object(&mut self, schema_name: &str, schema: &Value) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array().into_iter().flatten();
        let required = required.map(|name| name.as_str().expect("a name"));
        // One of two, of which the description demands neither.
        let chosen: &[&str] = match schema_name {
            "Pairing" => &["pairing_code"],
            "BulkRequest" => &["device_ids", "tags"],
            _ => &[],
        };
        for name in required.chain(chosen.iter().copied()) {
            let value = if let Some(value) = self.objects.member(schema_name, name) {
                value
            } else if name == "device_ids" {
                // Those of others are none of the matched.
                json!([self.objects.id("device_id").await])
            } else if let Some(id) = self.objects.id(name).await {
                self.names_an_object = true;
                json!(id)
            } else {
                self.value("", &schema["properties"][name]).await
            };
            object.insert(name.to_owned(), value);
        }
        Value::Object(object)
    }
}
